import AsyncHTTPClient
import NIOCore
import Synchronization

/// HTTP clients, one for each host and the one address it is reached at: the client connects to that address and to no
/// other, while TLS still checks the host's name. So an answer of the name service that changed since the address was
/// vetted has no effect.
///
/// Keeps at most so many, or as many as are in use; the one unused for longest goes first.
final class CallbackClients: Sendable {
  private struct Key: Hashable {
    let host: String
    let address: VettableAddress
  }

  private struct Entry {
    let client: HTTPClient
    var users: Int
    var lastUse: UInt64
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    var uses: UInt64 = 0
  }

  private let countMax: Int
  private let state = Mutex(State())

  init(countMax: Int) { self.countMax = countMax }

  var count: Int { state.withLock { $0.entries.count } }

  func with<Value: Sendable>(
    host: String, address: VettableAddress, _ body: (HTTPClient) async throws -> Value
  ) async rethrows -> Value {
    let key = Key(host: host, address: address)
    let (client, surplus) = take(key)
    for old in surplus { try? await old.shutdown() }
    defer { state.withLock { $0.entries[key]?.users -= 1 } }
    return try await body(client)
  }

  func shutdown() async {
    let clients = state.withLock { state in
      defer { state.entries = [:] }
      return state.entries.values.map(\.client)
    }
    for client in clients { try? await client.shutdown() }
  }

  private func take(_ key: Key) -> (client: HTTPClient, surplus: [HTTPClient]) {
    state.withLock { state in
      state.uses += 1
      if var entry = state.entries[key] {
        entry.users += 1
        entry.lastUse = state.uses
        state.entries[key] = entry
        return (entry.client, [])
      }
      var surplus: [HTTPClient] = []
      while state.entries.count >= countMax,
        let oldest = state.entries.filter({ $0.value.users == 0 }).min(by: { $0.value.lastUse < $1.value.lastUse })
      {
        state.entries[oldest.key] = nil
        surplus.append(oldest.value.client)
      }
      let client = Self.client(for: key)
      state.entries[key] = Entry(client: client, users: 1, lastUse: state.uses)
      return (client, surplus)
    }
  }

  private static func client(for key: Key) -> HTTPClient {
    var configuration = HTTPClient.Configuration()
    configuration.dnsOverride = [key.host: key.address.text]
    configuration.redirectConfiguration = .disallow
    configuration.decompression = .disabled
    configuration.httpVersion = .http1Only
    configuration.proxy = nil
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }
}
