import KassaJSON

/// One request, to be written as HTTP/1.1.
package struct HTTPCall: Sendable {
  package var method: String
  package var path: String
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]?

  package init(_ method: String, _ path: String, headers: [(String, String)] = [], body: [UInt8]? = nil) {
    self.method = method
    self.path = path
    self.headers = headers.map { (name: $0.0, value: $0.1) }
    self.body = body
  }

  /// A call with a JSON body.
  package init(_ method: String, _ path: String, headers: [(String, String)] = [], json: JSONValue) {
    self.init(method, path, headers: headers + [("content-type", "application/json")], body: json.bytes)
  }

  /// The head as bytes, with `Host` and `Content-Length` unless they are given.
  package func head(host: String) -> [UInt8] {
    var text = "\(method) \(path) HTTP/1.1\r\n"
    if !has("host") { text += "host: \(host)\r\n" }
    if let body, !has("content-length"), !has("transfer-encoding") { text += "content-length: \(body.count)\r\n" }
    for (name, value) in headers { text += "\(name): \(value)\r\n" }
    return Array((text + "\r\n").utf8)
  }

  private func has(_ name: String) -> Bool { headers.contains { $0.name.lowercased() == name } }
}

/// One answer, read whole.
package struct HTTPAnswer: Sendable, CustomStringConvertible {
  package let status: Int
  /// In the order they came, names in lower case.
  package let headers: [(name: String, value: String)]
  package var body: [UInt8]

  package func values(_ name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }
  package func header(_ name: String) -> String? { values(name).first }
  package var text: String { String(decoding: body, as: UTF8.self) }

  /// The body as JSON; `null` when it is none.
  package var json: JSONValue { (try? JSONParser.parse(body, nestingMax: JSONParser.nestingCeiling)) ?? .null }
  /// The problem's code, if the body is one.
  package var code: String? { json["code"]?.text }
  /// The names of the failing fields, if the body is a problem.
  package var failingFields: [String] { (json["errors"]?.names ?? []).sorted() }

  package var description: String { "\(status) \(text.prefix(400))" }
}

/// Why there is no answer.
package enum HTTPFailure: Error, Equatable {
  /// The connection ended before the answer was there.
  case closed
  /// The hang guard of the test struck.
  case timedOut
  /// The bytes are no answer in HTTP/1.1.
  case malformed(String)
}

/// Cuts a stream of bytes into answers (RFC 9112).
struct AnswerParser {
  private var bytes: [UInt8] = []
  private var scanned = 0
  private var pending: (answer: HTTPAnswer, framing: Framing)?

  enum Framing {
    case length(Int)
    case chunked
    case untilEnd
  }

  mutating func take(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

  /// The next whole answer. `atEnd` tells that no more bytes will come, `toHead` that HEAD was asked: then no body comes,
  /// whatever the length says.
  mutating func next(atEnd: Bool, toHead: Bool = false) throws(HTTPFailure) -> HTTPAnswer? {
    if pending == nil {
      guard let end = headEnd() else { return nil }
      pending = try Self.head(bytes[..<end])
      bytes.removeFirst(end + 4)
      scanned = 0
    }
    guard var answer = pending?.answer, let framing = pending?.framing else { return nil }
    switch framing {
    case _ where toHead: break
    case .length(let length):
      guard bytes.count >= length else { return nil }
      answer.body = Array(bytes.prefix(length))
      bytes.removeFirst(length)
    case .chunked:
      guard let (body, used) = try Self.chunks(bytes) else { return nil }
      answer.body = body
      bytes.removeFirst(used)
    case .untilEnd:
      guard atEnd else { return nil }
      answer.body = bytes
      bytes = []
    }
    pending = nil
    return answer
  }

  /// Where the empty line begins that ends the head.
  private mutating func headEnd() -> Int? {
    let found = bytes.withUnsafeBufferPointer { buffer -> Int? in
      var index = scanned
      while index + 3 < buffer.count {
        if buffer[index] == 13, buffer[index + 1] == 10, buffer[index + 2] == 13, buffer[index + 3] == 10 {
          return index
        }
        index += 1
      }
      return nil
    }
    if found == nil { scanned = max(0, bytes.count - 3) }
    return found
  }

  static func head(_ bytes: ArraySlice<UInt8>) throws(HTTPFailure) -> (HTTPAnswer, Framing) {
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
    let statusLine = lines[0].split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard statusLine.count >= 2, statusLine[0] == "HTTP/1.1", let status = Int(statusLine[1]) else {
      throw .malformed("status line \(lines[0])")
    }
    var headers: [(name: String, value: String)] = []
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { throw .malformed("header \(line)") }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      headers.append((line[..<colon].lowercased(), String(value)))
    }
    let answer = HTTPAnswer(status: status, headers: headers, body: [])
    if status == 204 || status == 304 || status < 200 { return (answer, .length(0)) }
    if answer.header("transfer-encoding") == "chunked" { return (answer, .chunked) }
    guard let text = answer.header("content-length") else { return (answer, .untilEnd) }
    guard let length = Int(text) else { throw .malformed("content-length \(text)") }
    return (answer, .length(length))
  }

  /// The body and how many bytes it took, or `nil` when it is not all there.
  private static func chunks(_ bytes: [UInt8]) throws(HTTPFailure) -> (body: [UInt8], used: Int)? {
    var body: [UInt8] = []
    var index = 0
    while let lineEnd = bytes[index...].firstIndex(of: 10) {
      let line = String(decoding: bytes[index..<lineEnd].filter { $0 != 13 }, as: UTF8.self)
      guard let size = Int(line, radix: 16) else { throw .malformed("chunk size \(line)") }
      let start = lineEnd + 1
      guard start + size + 2 <= bytes.count else { return nil }
      body.append(contentsOf: bytes[start..<start + size])
      index = start + size + 2
      if size == 0 { return (body, index) }
    }
    return nil
  }
}
