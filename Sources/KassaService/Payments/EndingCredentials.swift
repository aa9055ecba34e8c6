import KassaDomain
import KassaStore
import Synchronization

/// Credentials of a merchant's method that end by themselves, like a certificate.
package struct EndingCredentials: Equatable, Sendable {
  package let merchantID: MerchantID
  package let method: PaymentMethod
  package let endAt: Timestamp
}

extension KassaService {
  /// Of the credentials that merchants collect with, those that end first; `nil` when none ends by itself. Looks at the
  /// methods of every merchant.
  package func firstEndingCredentials() async throws -> EndingCredentials? {
    var first: EndingCredentials?
    for merchant in try await merchants() {
      let current = try await store.read { try $0.paymentMethods.current(of: merchant.id) }
      for configured in current where configured.details.isOn {
        let provider = try await providers.provider(configured.provider, for: configured.method, of: merchant.id)
        guard let endAt = provider?.credentialsEndAt, first.map({ endAt < $0.endAt }) ?? true else { continue }
        first = EndingCredentials(merchantID: merchant.id, method: configured.method, endAt: endAt)
      }
    }
    return first
  }

  /// The same, as it was an hour ago at most: anybody may ask, and it costs a look at every merchant.
  package func recentFirstEndingCredentials() async throws -> EndingCredentials? {
    if let known = credentialsEnd.known(at: now) { return known.first }
    let first = try await firstEndingCredentials()
    credentialsEnd.note(first, at: now)
    return first
  }
}

/// What was last found of credentials that end.
final class CredentialsEnd: Sendable {
  struct Known {
    let first: EndingCredentials?
    let at: Timestamp
  }

  private let last = Mutex<Known?>(nil)

  func known(at now: Timestamp) -> Known? {
    last.withLock { $0 }.flatMap { now < $0.at.adding(seconds: Limits.credentialsEndSeconds) ? $0 : nil }
  }

  func note(_ first: EndingCredentials?, at now: Timestamp) {
    last.withLock { $0 = Known(first: first, at: now) }
  }
}
