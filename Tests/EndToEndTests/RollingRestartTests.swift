import Foundation
import KassaJSON
import KassaTestDatabases
import KassaTestSupport
import Synchronization
import Testing

extension EndToEnd {
  /// Three servers behind the proxy that the handbook recommends, with its very settings (`docs/examples/haproxy.cfg`),
  /// restarted one after the other under load.
  @Suite(.enabled(if: TestDatabase.isPostgres, "several servers need PostgreSQL")) struct RollingRestartTests {
    /// Longer than the proxy takes to notice: it looks each second.
    private static let drainSeconds = 4
    private static let servers = 3
    private static let clients = 6
    private static let slowRequests = 12

    @Test(.timeLimit(.minutes(5))) func aRollingRestartFailsNoRequest() async throws {
      try await withFront { front in
        let load = FrontLoad(front)
        let phones = try await load.makePhones(Self.clients)
        async let running: Void = load.run(phones)
        do {
          for number in 0..<Self.servers {
            // Some requests are in the middle of their bodies when the server is told to stop.
            let slow = try await load.beginSlowRequests(Self.slowRequests)
            async let exit = front.fleet.end(number, by: SIGTERM)
            try await front.waitUntil(number, is: "DOWN")
            let statuses = try await load.finish(slow)
            #expect(statuses == Array(repeating: 201, count: Self.slowRequests))
            #expect(await exit == .status(0))
            try await front.fleet.start(number)
            try await front.waitUntil(number, is: "UP")
          }
        } catch {
          load.stop()
          throw error
        }
        let streams = try await load.stopWhenAllIsSeen(phones)
        await running
        let sum = load.sum
        print("rolling restart: \(sum.answers) answers, \(streams) streams, \(sum.failures.count) failures")
        #expect(sum.failures == [])
        #expect(sum.answers > 30 * Self.servers)
        // Each phone came back at least once, to a server that was there.
        #expect(streams > phones.count)
        for phone in phones { #expect(StreamTests.flaws(seen: phone.seen, sessions: phone.sessions) == []) }
      }
    }

    /// The control: the same without a drain. Whatever was in the middle of its body fails, and the same count says so.
    @Test(.timeLimit(.minutes(3))) func withoutADrainRequestsFail() async throws {
      try await withFront { front in
        let load = FrontLoad(front)
        let phones = try await load.makePhones(Self.clients)
        async let running: Void = load.run(phones)
        do {
          let slow = try await load.beginSlowRequests(Self.slowRequests)
          for number in 0..<Self.servers {
            await front.fleet.end(number, by: SIGKILL)
            try await front.fleet.start(number)
          }
          let statuses = try await load.finish(slow)
          #expect(!statuses.contains(201), "\(statuses)")
        } catch {
          load.stop()
          throw error
        }
        load.stop()
        await running
        #expect(load.sum.failures.count >= Self.slowRequests)
      }
    }

    private func withFront(_ body: (Front) async throws -> Void) async throws {
      try await withTemporaryFolder { folder in
        let ports = freePorts(Self.servers + 2)
        let options =
          unlimited + ["--drain-delay-seconds", "\(Self.drainSeconds)", "--trusted-proxies", "127.0.0.1"]
          + ["--log-level", "warning"]
        let plans = Fleet.plans(Self.servers, in: folder, options: options).enumerated().map { number, plan in
          var plan = plan
          plan.options += ["--port", "\(ports[number])"]
          return plan
        }
        try await withFleet(plans) { fleet in
          let front = try await Front(
            fleet, in: folder, servers: Array(ports.prefix(Self.servers)), port: ports[Self.servers],
            statisticsPort: ports[Self.servers + 1])
          do {
            for number in 0..<Self.servers { try await front.waitUntil(number, is: "UP") }
            try await body(front)
            await front.end()
          } catch {
            await front.end()
            throw error
          }
        }
      }
    }
  }
}

/// Ports of 127.0.0.1 that nobody listens on, below those that the system gives away by itself.
private func freePorts(_ count: Int) -> [Int] {
  var ports: Set<Int> = []
  while ports.count < count {
    let port = Int.random(in: 20_000..<30_000)
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    let isFree = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    if isFree { ports.insert(port) }
  }
  return Array(ports)
}

/// The proxy, in front of a fleet whose servers have these ports.
final class Front: Sendable {
  let fleet: Fleet
  let port: Int
  private let statisticsPort: Int
  private let program: RunningProgram

  init(_ fleet: Fleet, in folder: TemporaryFolder, servers: [Int], port: Int, statisticsPort: Int) async throws {
    self.fleet = fleet
    self.port = port
    self.statisticsPort = statisticsPort
    let handbook = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "../../docs/examples/haproxy.cfg")
    var text = try String(contentsOf: handbook, encoding: .utf8)
    func replace(_ old: String, _ new: String) throws {
      guard text.contains(old) else { throw Missing(description: "the handbook's settings lack: \(old)") }
      text = text.replacing(old, with: new)
    }
    try replace(":443 ssl crt /etc/haproxy/pay.example.com.pem", "127.0.0.1:\(port)")
    // As many as whoever runs the tests may open.
    try replace("maxconn 40000", "maxconn 400")
    for (number, server) in servers.enumerated() {
      try replace("10.0.0.1\(number + 1):8080", "127.0.0.1:\(server)")
    }
    text += "\nfrontend statistics\n  bind 127.0.0.1:\(statisticsPort)\n  stats enable\n  stats uri /\n"
    try folder.write(text, to: "haproxy.cfg")
    let path = "/usr/sbin/haproxy"
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw Missing(description: "haproxy is not installed: apt-get install haproxy")
    }
    program = try RunningProgram(path, ["-db", "-f", folder.file("haproxy.cfg")], in: folder, printsTo: "haproxy")
  }

  func end() async {
    program.send(signal: SIGKILL)
    _ = await program.waitForExit()
  }

  /// Waits until the proxy takes a server for `UP` or `DOWN`.
  func waitUntil(_ number: Int, is state: String) async throws {
    try await eventually("server \(number) is \(state): \(program.errorOutput)") {
      if let exit = program.exit { throw Missing(description: "haproxy ended with \(exit): \(program.errorOutput)") }
      guard let connection = try? await HTTPConnection.open(port: statisticsPort) else { return false }
      let answer = try? await connection.send(HTTPCall("GET", "/;csv"))
      await connection.close()
      return answer?.text.split(separator: "\n").contains { line in
        let fields = line.split(separator: ",", omittingEmptySubsequences: false)
        return line.hasPrefix("kassa,kassa\(number + 1),") && fields.contains { $0.hasPrefix(state) }
      } ?? false
    }
  }
}

/// Clients of the proxy, who know nothing of the servers behind it.
final class FrontLoad: Sendable {
  /// A phone, the sessions it was asked for, and what its stream told it.
  final class Phone: Sendable {
    fileprivate let till: Shop.Phone
    private let state = Mutex<(sessions: [String], seen: [EventStream.Frame])>(([], []))

    fileprivate init(_ till: Shop.Phone) { self.till = till }

    var sessions: [String] { state.withLock { $0.sessions } }
    var seen: [EventStream.Frame] { state.withLock { $0.seen } }
    fileprivate func note(session: String) { state.withLock { $0.sessions.append(session) } }
    fileprivate func note(_ frame: EventStream.Frame) { state.withLock { $0.seen.append(frame) } }
    fileprivate var hasSeenAll: Bool {
      state.withLock { state in state.seen.count { $0.event == "session.created" } >= state.sessions.count }
    }
  }

  struct Sum {
    var answers = 0
    var streams = 0
    var failures: [String] = []
  }

  private let front: Front
  private let key: (String, String)
  private let state = Mutex(Sum())
  private let isSelling = Atomic(true)
  private let isListening = Atomic(true)

  init(_ front: Front) {
    self.front = front
    key = front.fleet.living[0].authorization()
  }

  var sum: Sum { state.withLock { $0 } }

  private func fail(_ what: String) { state.withLock { $0.failures.append(what) } }

  func stop() {
    isSelling.store(false, ordering: .relaxed)
    isListening.store(false, ordering: .relaxed)
  }

  /// Ends selling, waits for the streams, and returns how many there were.
  func stopWhenAllIsSeen(_ phones: [Phone]) async throws -> Int {
    isSelling.store(false, ordering: .relaxed)
    defer { stop() }
    try await eventually("the phones were told of all") { phones.allSatisfy(\.hasSeenAll) }
    return sum.streams
  }

  func makePhones(_ count: Int) async throws -> [Phone] {
    var phones: [Phone] = []
    let server = front.fleet.living[0]
    for number in 0..<count { phones.append(Phone(try await Shop(server: server).phone("Till \(number)"))) }
    return phones
  }

  func run(_ phones: [Phone]) async {
    await withTaskGroup { group in
      for phone in phones {
        group.addTask { await self.sell(phone) }
        group.addTask { await self.follow(phone) }
      }
    }
  }

  // MARK: Requests

  /// One connection that is kept alive as long as the proxy keeps it.
  private func sell(_ phone: Phone) async {
    var open: HTTPConnection?
    var number = 0
    while isSelling.load(ordering: .relaxed) {
      do {
        let connection: HTTPConnection
        if let open, open.isOpen {
          connection = open
        } else {
          connection = try await HTTPConnection.open(port: front.port)
        }
        open = connection
        try await sell(phone, number, over: connection)
      } catch {
        fail("a request of a till: \(error)")
        await open?.close()
        open = nil
      }
      number += 1
    }
    await open?.close()
  }

  private func sell(_ phone: Phone, _ number: Int, over connection: HTTPConnection) async throws {
    func send(_ call: HTTPCall, _ status: Int) async throws -> HTTPAnswer {
      let answer = try await connection.send(call)
      if answer.status != status { fail("\(call.method) \(call.path): \(answer)") }
      state.withLock { $0.answers += 1 }
      return answer
    }
    let request = try Shop.sample(phone.till.id)
    let made = try await send(HTTPCall("POST", "/ipp/v1/sessions", headers: [key], json: request), 200)
    let id = try made.text("session_id")
    phone.note(session: id)
    let own = [phone.till.authorization]
    _ = try await send(HTTPCall("GET", "/pos/v1/sessions", headers: own), 200)
    switch number % 3 {
    case 0:
      _ = try await send(HTTPCall("POST", "/ipp/v1/dev/sessions/\(id)/simulate-tap", headers: [key]), 200)
    case 1:
      _ = try await send(HTTPCall("PUT", "/ipp/v1/sessions/\(id)/cancel", headers: [key]), 200)
    default:
      _ = try await send(
        HTTPCall("POST", "/pos/v1/sessions/\(id)/payments", headers: own, json: ["method": "CARD"]), 201)
      _ = try await send(HTTPCall("POST", "/pos/v1/dev/sessions/\(id)/simulate-tap", headers: own), 200)
    }
    _ = try await send(HTTPCall("GET", "/ipp/v1/sessions?page_size=5", headers: [key]), 200)
  }

  private func follow(_ phone: Phone) async {
    var cursor = "0"
    while isListening.load(ordering: .relaxed) {
      do {
        let stream = try await EventStream.open(
          port: front.port,
          HTTPCall("GET", "/pos/v1/events", headers: [phone.till.authorization, ("last-event-id", cursor)]))
        guard stream.isStream else { throw Missing(description: "no stream: \(stream.head)") }
        state.withLock { $0.streams += 1 }
        do {
          while isListening.load(ordering: .relaxed) {
            do {
              let frame = try await stream.next(withinSeconds: 1)
              cursor = frame.id ?? cursor
              phone.note(frame)
            } catch HTTPFailure.timedOut {
              continue
            }
          }
        } catch HTTPFailure.closed {
          // Its server stops: back to another.
        }
        await stream.close()
      } catch {
        fail("a stream: \(error)")
      }
    }
  }

  // MARK: Slow requests

  private static let body: [UInt8] = (["metadata": ["sent": "in two halves"]] as JSONValue).bytes

  /// Begins requests, and keeps the ends of their bodies back.
  func beginSlowRequests(_ count: Int) async throws -> [HTTPConnection] {
    var begun: [HTTPConnection] = []
    for _ in 0..<count {
      let connection = try await HTTPConnection.open(port: front.port)
      let call = HTTPCall(
        "POST", "/ipp/v1/enrollments", headers: [key, ("content-type", "application/json")], body: Self.body)
      try await connection.write(call.head(host: connection.host) + Self.body.prefix(9))
      begun.append(connection)
    }
    return begun
  }

  /// Sends what was kept back, and returns the statuses; -1 where no answer comes.
  func finish(_ begun: [HTTPConnection]) async throws -> [Int] {
    var statuses: [Int] = []
    for connection in begun {
      var status = -1
      do {
        try await connection.write(Array(Self.body.dropFirst(9)))
        status = try await connection.answer().status
      } catch is HTTPFailure {
        // The proxy closed it.
      }
      if status != 201 { fail("a slow request: \(status)") }
      statuses.append(status)
      await connection.close()
    }
    return statuses
  }
}
