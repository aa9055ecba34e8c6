import KassaDomain
import KassaService

/// Where callbacks may be sent: `https` to public addresses; in the playground also `http` to this machine by one of its
/// three usual names (contract, section 8).
package struct AddressGate: WebhookGate {
  private let environment: KassaEnvironment
  private let resolver: any HostResolver

  package init(environment: KassaEnvironment, resolver: any HostResolver) {
    self.environment = environment
    self.resolver = resolver
  }

  /// Why there is no address to connect to.
  enum Refusal: Error, Equatable {
    case schemeRefused
    case nameNotResolved
    case addressRefused
  }

  /// The address to connect to: of this moment, and only if every address of the name is allowed.
  func address(of url: WebhookURL) async throws -> VettableAddress {
    let allowsThisMachine = environment == .playground && url.scheme == .http && url.namesThisMachine
    guard url.scheme == .https || allowsThisMachine else { throw Refusal.schemeRefused }
    let found: [VettableAddress]
    if let literal = VettableAddress(url.host) {
      found = [literal]
    } else {
      do {
        found = try await resolver.addresses(of: url.host)
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        throw Refusal.nameNotResolved
      }
    }
    let isAllowed = allowsThisMachine ? AddressPolicy.isThisMachine : AddressPolicy.isPublic
    guard let first = found.first else { throw Refusal.nameNotResolved }
    guard found.allSatisfy({ isAllowed($0.bytes) }) else { throw Refusal.addressRefused }
    // IPv4 first: a machine without IPv6 often resolves such addresses but cannot reach them.
    return found.first { $0.bytes.count == 4 } ?? first
  }

  package func flaw(of url: WebhookURL) async -> String? {
    do {
      _ = try await withDeadline(milliseconds: Limits.callbackNameSeconds * 1000) { try await address(of: url) }
      return nil
    } catch Refusal.schemeRefused {
      return environment == .playground
        ? "must begin with https://, or name this machine as http://127.0.0.1, http://localhost or http://[::1]"
        : "must begin with https://"
    } catch Refusal.addressRefused {
      return "must be reached at public addresses only; private, local and reserved ones are refused"
    } catch {
      return "must have a host name that the name service knows"
    }
  }
}
