import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Turns a host name into addresses.
package protocol HostResolver: Sendable {
  /// All addresses of the name, at least one. Throws when it has none or the name service fails.
  func addresses(of host: String) async throws -> [VettableAddress]
}

/// The name has no address, or the name service failed.
package struct NameNotResolved: Error {}

/// Asks the operating system, on threads of its own. Questions for the same name at the same time are one, so that a name
/// that takes long holds one thread and no other name.
package final class SystemHostResolver: HostResolver {
  /// Names asked for at once.
  private static let threads = 32

  /// One for the process. Its threads begin with the first question.
  package static let shared = SystemHostResolver()

  private let pool = NIOThreadPool(numberOfThreads: threads)
  private let asked = Mutex<[String: Task<[VettableAddress], any Error>]>([:])

  package init() {}

  deinit { pool.shutdownGracefully { _ in } }

  package func addresses(of host: String) async throws -> [VettableAddress] {
    let question = asked.withLock { asked in
      if let running = asked[host] { return running }
      let pool = self.pool
      pool.start()
      let question = Task { [weak self] in
        defer { self?.asked.withLock { _ = $0.removeValue(forKey: host) } }
        return try await pool.runIfActive { try Self.lookUp(host) }
      }
      asked[host] = question
      return question
    }
    return try await Self.value(of: question)
  }

  /// The answer, or `CancellationError` as soon as the caller is cancelled: the question itself cannot be stopped.
  private static func value(of question: Task<[VettableAddress], any Error>) async throws -> [VettableAddress] {
    let (answers, continuation) = AsyncThrowingStream<[VettableAddress], any Error>.makeStream()
    Task {
      do {
        continuation.yield(try await question.value)
      } catch {
        continuation.finish(throwing: error)
      }
    }
    for try await answer in answers { return answer }
    throw CancellationError()
  }

  private static func lookUp(_ host: String) throws -> [VettableAddress] {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    #if canImport(Glibc)
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    #else
      hints.ai_socktype = SOCK_STREAM
    #endif
    var first: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &first) == 0 else { throw NameNotResolved() }
    defer { freeaddrinfo(first) }
    var found: [VettableAddress] = []
    var next = first
    while let info = next {
      next = info.pointee.ai_next
      let raw = UnsafeRawPointer(info.pointee.ai_addr)
      let address: SocketAddress?
      switch info.pointee.ai_family {
      case AF_INET: address = raw.map { SocketAddress($0.loadUnaligned(as: sockaddr_in.self)) }
      case AF_INET6: address = raw.map { SocketAddress($0.loadUnaligned(as: sockaddr_in6.self)) }
      default: address = nil
      }
      // An address that cannot be vetted makes the whole name unfit.
      guard let address, let vettable = VettableAddress(address) else { throw NameNotResolved() }
      if !found.contains(vettable) { found.append(vettable) }
    }
    guard !found.isEmpty else { throw NameNotResolved() }
    return found
  }
}
