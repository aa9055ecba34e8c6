import CLibPQ
import Glibc
import KassaStore

/// One connection, always in pipeline mode: statements that need no answer are sent along with the next one that does.
///
/// Not for several threads at once. Unchecked, because libpq's handle is a bare pointer: every connection belongs to one
/// worker, which uses it on its own serial queue only.
final class PostgresConnection: @unchecked Sendable {
  /// Beyond this many statements on their way their answers are read, so that neither side waits for the other's buffer.
  private static let statementsOnTheirWayMax = 200

  private enum Expected {
    case preparation(of: String, body: Int?)
    case answer(keeps: Bool, body: Int?)
    case sync
  }

  private let handle: OpaquePointer
  /// How long one exchange may take before the connection is given up: beyond the server's own time limits.
  private let patienceMilliseconds: Int64
  private var expected: [Expected] = []
  private var names: [String: String] = [:]
  private var preparedCount = 0
  private let warnings = Warnings()
  private(set) var isUsable = true
  /// A commit was not answered in time. Nothing can be asked before `catchUp` has found its answer.
  private(set) var isOwedAnswer = false
  /// Whether what is waited for now may come later than in time.
  private var mayComeLater = false

  /// The body that statements belong to from now on.
  var body: Int?
  /// The shard of figures and queues that this connection writes to.
  var shard: Int64 = 0

  /// Warnings that the server sent. Libpq calls back with a pointer to it.
  private final class Warnings {
    var texts: [String] = []
  }

  /// Connects; blocks for some seconds at most. Throws `PostgresFailure`.
  init(_ parameters: [(name: String, value: String)], patienceSeconds: Int64) throws(PostgresFailure) {
    patienceMilliseconds = patienceSeconds * 1000
    let names = parameters.map { strdup($0.name) } + [nil]
    let values = parameters.map { strdup($0.value) } + [nil]
    defer { for pointer in names + values { free(pointer) } }
    let connected = PQconnectdbParams(
      names.map { $0.map { UnsafePointer($0) } }, values.map { $0.map { UnsafePointer($0) } }, 1)
    guard let connected else { throw .lost("no memory for a connection") }
    guard PQstatus(connected) == CONNECTION_OK, PQenterPipelineMode(connected) == 1,
      PQsetnonblocking(connected, 1) == 0
    else {
      let message = PQerrorMessage(connected).map { String(cString: $0) } ?? ""
      PQfinish(connected)
      throw .lost(Self.trimmed(message))
    }
    handle = connected
    PQsetNoticeReceiver(
      connected,
      { context, result in
        guard let context, let severity = PQresultErrorField(result, Int32(UInt8(ascii: "V"))),
          String(cString: severity) == "WARNING", let message = PQresultErrorMessage(result)
        else { return }
        Unmanaged<Warnings>.fromOpaque(context).takeUnretainedValue().texts.append(String(cString: message))
      }, Unmanaged.passUnretained(warnings).toOpaque())
  }

  deinit { PQfinish(handle) }

  var serverVersion: Int { Int(PQserverVersion(handle)) }
  var socket: Int32 { PQsocket(handle) }

  /// What the server said during connecting or by itself since, as in `server_encoding`.
  func parameter(_ name: String) -> String { PQparameterStatus(handle, name).map { String(cString: $0) } ?? "" }

  // MARK: Statements

  /// Sends a statement whose answer nobody needs. When it fails, the next `ask` or `settle` throws.
  func send(_ sql: String, _ values: [PostgresValue] = []) throws(PostgresFailure) {
    try enqueue(sql, values, keeps: false)
    if expected.count >= Self.statementsOnTheirWayMax { try settle() }
  }

  /// Sends a statement, and waits for its answer and for those of all before it.
  func ask(_ sql: String, _ values: [PostgresValue] = []) throws(PostgresFailure) -> PostgresResult {
    try enqueue(sql, values, keeps: true)
    guard let result = try exchange().last else { throw lose("there was no answer") }
    return result
  }

  /// Sends a statement whose answer the next `settle` gives.
  func enqueueAsking(_ sql: String, _ values: [PostgresValue] = []) throws(PostgresFailure) {
    try enqueue(sql, values, keeps: true)
  }

  /// Waits for the answers of all statements on their way.
  @discardableResult
  func settle() throws(PostgresFailure) -> [PostgresResult] {
    try exchange()
  }

  /// Waits for the answers of all statements on their way, of which the last is a `COMMIT`. When they do not come in time
  /// the failure is that of a lost connection, but the connection is kept: a commit that waits for a standby goes on
  /// waiting whatever becomes of its client, and would hold its place on the server.
  func settleCommit() throws(PostgresFailure) -> [PostgresResult] {
    mayComeLater = true
    defer { mayComeLater = false }
    return try exchange()
  }

  /// Waits so long for the answer that is owed, and forgets it. Returns whether statements can be sent again. Throws when the
  /// connection is lost.
  func catchUp(waitingMilliseconds: Int64) throws(PostgresFailure) -> Bool {
    mayComeLater = true
    defer { mayComeLater = false }
    let deadline = Self.now() + waitingMilliseconds
    var isBetween = false
    do throws(PostgresFailure) {
      while true {
        guard let raw = try nextResult(until: deadline) else {
          if isBetween { throw lose("an answer was missing") }
          isBetween = true
          continue
        }
        isBetween = false
        defer { PQclear(raw) }
        switch PQresultStatus(raw) {
        case PGRES_PIPELINE_SYNC:
          guard PQtransactionStatus(handle) == PQTRANS_IDLE else { throw lose("a transaction was left open") }
          isOwedAnswer = false
          return true
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK: continue
        // What was prepared meanwhile may not be there: a fresh connection is simpler.
        default: throw lose(failure(raw, body: nil))
        }
      }
    } catch {
      if isUsable { return false }
      throw error
    }
  }

  /// Whether both were made with the same server, as far as its address tells.
  func isConnected(likewise other: PostgresConnection) -> Bool { serverAddress == other.serverAddress }

  private var serverAddress: [String] {
    [PQhost(handle), PQhostaddr(handle), PQport(handle)].map { $0.map { String(cString: $0) } ?? "" }
  }

  /// Sends a last statement whose answer is read with that of the next exchange.
  func sendLazily(_ sql: String) throws(PostgresFailure) {
    try enqueue(sql, [], keeps: false)
    try sync()
    if PQflush(handle) < 0 { throw lose() }
  }

  /// Runs several statements in one text, by the simple protocol: for migrations.
  func runScript(_ sql: String) throws(PostgresFailure) {
    try settle()
    guard PQexitPipelineMode(handle) == 1, PQsetnonblocking(handle, 0) == 0 else { throw lose() }
    let result = PQexec(handle, sql)
    defer { PQclear(result) }
    guard PQenterPipelineMode(handle) == 1, PQsetnonblocking(handle, 1) == 0 else { throw lose() }
    let status = PQresultStatus(result)
    guard status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK else { throw failure(result, body: nil) }
  }

  /// Runs a `COPY … FROM STDIN` with these bytes, all rows or none.
  func runCopy(_ sql: String, _ bytes: [UInt8]) throws(PostgresFailure) {
    try settle()
    guard PQexitPipelineMode(handle) == 1, PQsetnonblocking(handle, 0) == 0 else { throw lose() }
    let begun = PQexec(handle, sql)
    defer { PQclear(begun) }
    var first: PostgresFailure?
    if PQresultStatus(begun) == PGRES_COPY_IN {
      let isSent = bytes.withUnsafeBytes { bytes in
        let base = bytes.bindMemory(to: CChar.self).baseAddress
        return PQputCopyData(handle, base, Int32(bytes.count)) == 1 && PQputCopyEnd(handle, nil) == 1
      }
      guard isSent else { throw lose() }
      while let result = PQgetResult(handle) {
        defer { PQclear(result) }
        if PQresultStatus(result) != PGRES_COMMAND_OK { first = first ?? failure(result, body: nil) }
      }
    } else {
      first = failure(begun, body: nil)
    }
    guard PQenterPipelineMode(handle) == 1, PQsetnonblocking(handle, 1) == 0 else { throw lose() }
    if let first { throw first }
  }

  /// Takes the warnings since it was last asked.
  func takeWarnings() -> [String] {
    defer { warnings.texts = [] }
    return warnings.texts
  }

  private func enqueue(_ sql: String, _ values: [PostgresValue], keeps: Bool) throws(PostgresFailure) {
    try requireFree()
    let name: String
    if let known = names[sql] {
      name = known
    } else {
      preparedCount += 1
      name = "s\(preparedCount)"
      guard PQsendPrepare(handle, name, sql, 0, nil) == 1 else { throw lose() }
      names[sql] = name
      expected.append(.preparation(of: sql, body: body))
    }
    let parameters = PostgresParameters(values)
    let formats = [Int32](repeating: 1, count: values.count)
    let isSent = parameters.bytes.withUnsafeBytes { bytes in
      let base = bytes.bindMemory(to: CChar.self).baseAddress
      let pointers = zip(parameters.starts, parameters.lengths).map { start, length in
        length < 0 ? nil : base.map { $0 + start }
      }
      return PQsendQueryPrepared(handle, name, Int32(values.count), pointers, parameters.lengths, formats, 1) == 1
    }
    guard isSent else { throw lose() }
    expected.append(.answer(keeps: keeps, body: body))
  }

  private func requireFree() throws(PostgresFailure) {
    guard isUsable else { throw .lost("the connection was lost") }
    guard !isOwedAnswer else { throw .lost("the commit before has not been answered yet") }
  }

  private func sync() throws(PostgresFailure) {
    guard PQpipelineSync(handle) == 1 else { throw lose() }
    expected.append(.sync)
  }

  /// Reads the answer of everything on its way. Throws the first failure, after which the rest was not run.
  private func exchange() throws(PostgresFailure) -> [PostgresResult] {
    try requireFree()
    if expected.isEmpty { return [] }
    try sync()
    let deadline = Self.now() + patienceMilliseconds
    var kept: [PostgresResult] = []
    var first: PostgresFailure?
    let awaited = expected
    expected = []
    let last = awaited.lastIndex { if case .answer = $0 { true } else { false } }
    for (index, item) in awaited.enumerated() {
      guard let raw = try nextResult(until: deadline) else { throw lose("an answer was missing") }
      switch item {
      case .sync:
        defer { PQclear(raw) }
        guard PQresultStatus(raw) == PGRES_PIPELINE_SYNC else { throw first ?? lose(failure(raw, body: nil)) }
        continue
      case .preparation(let sql, let body):
        if let failure = failed(raw, body: body, freeing: true) {
          names[sql] = nil
          if let failure { first = first ?? failure }
        }
      case .answer(let keeps, let body):
        if let failure = failed(raw, body: body, freeing: !keeps) {
          if keeps { PQclear(raw) }
          if let failure { first = first ?? failure }
        } else if keeps {
          kept.append(PostgresResult(raw))
        }
      }
      if var first, first.isLost {
        isUsable = false
        first.mayHaveRunLast = first.sqlState.isEmpty || index == last
        throw first
      }
      if let extra = try nextResult(until: deadline) {
        PQclear(extra)
        throw lose("there was an answer too many")
      }
    }
    if let first { throw first }
    return kept
  }

  /// `nil` when the result is none of a failure; else the failure, or inside it `nil` when the statement was not run.
  private func failed(_ raw: OpaquePointer, body: Int?, freeing: Bool) -> PostgresFailure?? {
    defer { if freeing { PQclear(raw) } }
    switch PQresultStatus(raw) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return .none
    case PGRES_PIPELINE_ABORTED: return .some(nil)
    default: return .some(failure(raw, body: body))
    }
  }

  // MARK: Waiting

  private func nextResult(until deadline: Int64) throws(PostgresFailure) -> OpaquePointer? {
    while true {
      let flushed = PQflush(handle)
      if flushed < 0 { throw lose() }
      if flushed == 0, PQisBusy(handle) == 0 { return PQgetResult(handle) }
      try waitForSocket(toWrite: flushed == 1, until: deadline)
      if PQconsumeInput(handle) == 0 { throw lose() }
    }
  }

  private func waitForSocket(toWrite: Bool, until deadline: Int64) throws(PostgresFailure) {
    while true {
      let left = deadline - Self.now()
      guard left > 0 else {
        let reason = "the server did not answer in time"
        guard mayComeLater else { throw lose(reason) }
        isOwedAnswer = true
        throw .lost(reason)
      }
      var descriptor = pollfd(fd: PQsocket(handle), events: Int16(POLLIN | (toWrite ? POLLOUT : 0)), revents: 0)
      let ready = poll(&descriptor, 1, Int32(min(left, 60_000)))
      if ready > 0 { return }
      if ready < 0, errno != EINTR { throw lose("poll failed with \(errno)") }
    }
  }

  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  // MARK: Notifications

  /// Notifications that came, after waiting up to so many milliseconds, or until the alarm, for the first. Throws when the
  /// connection is lost.
  func notifications(waitingMilliseconds: Int64, orUntil alarm: Alarm) throws(PostgresFailure) -> [String] {
    guard isUsable else { throw .lost("the connection was lost") }
    if PQconsumeInput(handle) == 0 { throw lose() }
    var found = takeNotifications()
    if found.isEmpty {
      var descriptors = [PQsocket(handle), alarm.descriptor].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      if poll(&descriptors, 2, Int32(waitingMilliseconds)) > 0 {
        if PQconsumeInput(handle) == 0 { throw lose() }
        // A result that nobody asked for: the server says goodbye.
        if PQstatus(handle) != CONNECTION_OK { throw lose() }
        found = takeNotifications()
      }
    }
    return found
  }

  private func takeNotifications() -> [String] {
    var found: [String] = []
    while let notification = PQnotifies(handle) {
      if let payload = notification.pointee.extra { found.append(String(cString: payload)) }
      PQfreemem(notification)
    }
    return found
  }

  // MARK: Failures

  private func failure(_ result: OpaquePointer?, body: Int?) -> PostgresFailure {
    func field(_ code: Unicode.Scalar) -> String? {
      PQresultErrorField(result, Int32(code.value)).map { String(cString: $0) }
    }
    return PostgresFailure(
      sqlState: field("C") ?? "", message: field("M") ?? Self.trimmed(message), constraint: field("n"), body: body)
  }

  private var message: String { PQerrorMessage(handle).map { String(cString: $0) } ?? "" }

  private func lose(_ reason: String? = nil) -> PostgresFailure {
    isUsable = false
    return .lost(reason ?? Self.trimmed(message))
  }

  private func lose(_ failure: PostgresFailure) -> PostgresFailure {
    isUsable = false
    return failure
  }

  private static func trimmed(_ message: String) -> String {
    message.split(whereSeparator: \.isNewline).map { String($0) }.joined(separator: "; ")
  }
}
