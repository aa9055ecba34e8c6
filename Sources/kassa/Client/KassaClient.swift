import AsyncHTTPClient
import Foundation
import KassaDomain
import KassaJSON
import KassaServer
import NIOCore

/// Talks to a Kassa server as a phone or a backend does, for the commands that play one.
struct KassaClient: Sendable {
  /// Time for one answer.
  private static let answerSeconds: Int64 = 30
  private static let answerBytesMax = 4 * 1024 * 1024

  /// Without a slash at the end.
  let url: String
  /// The value of `Authorization`.
  let authorization: String?

  /// The server said no: the problem's words.
  struct Refused: Error, CustomStringConvertible {
    let status: Int
    let code: String
    let detail: String
    var description: String { "\(code) (\(status)): \(detail)" }
  }

  /// Sends a request and reads its JSON answer; an empty object for 204. Throws `Refused` for a problem.
  @discardableResult
  func send(
    _ method: String, _ path: String, _ body: [UInt8]? = nil, headers: [(String, String)] = []
  ) async throws -> JSONObject {
    var request = HTTPClientRequest(url: url + path)
    request.method = .RAW(value: method)
    if let authorization { request.headers.add(name: "Authorization", value: authorization) }
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    if let body {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(body)
    }
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(Self.answerSeconds))
    let bytes = Array(try await response.body.collect(upTo: Self.answerBytesMax).readableBytesView)
    guard !bytes.isEmpty else { return JSONObject() }
    guard let object = jsonObject(of: bytes) else {
      throw SettingsError("\(url)\(path) answered \(response.status.code) with no JSON: is this a Kassa server?")
    }
    guard (200..<300).contains(response.status.code) else {
      throw Refused(
        status: Int(response.status.code), code: object.text("code") ?? "", detail: object.text("detail") ?? "")
    }
    return object
  }

  /// One frame of a stream.
  struct StreamEvent: Sendable {
    let id: String?
    let name: String
    let data: JSONObject
  }

  /// Follows a stream of Server-Sent Events until it ends. Signs of life are passed over.
  func follow(_ path: String, lastEventID: String?, _ receive: (StreamEvent) async throws -> Void) async throws {
    var request = HTTPClientRequest(url: url + path)
    if let authorization { request.headers.add(name: "Authorization", value: authorization) }
    if let lastEventID { request.headers.add(name: "Last-Event-ID", value: lastEventID) }
    let response = try await HTTPClient.shared.execute(request, deadline: .distantFuture)
    guard response.status == .ok else {
      let bytes = Array(try await response.body.collect(upTo: Self.answerBytesMax).readableBytesView)
      let problem = jsonObject(of: bytes)
      throw Refused(
        status: Int(response.status.code), code: problem?.text("code") ?? "", detail: problem?.text("detail") ?? "")
    }
    var pending = ""
    for try await part in response.body {
      pending += String(buffer: part)
      while let end = pending.range(of: "\n\n") {
        if let event = Self.event(pending[..<end.lowerBound]) { try await receive(event) }
        pending.removeSubrange(..<end.upperBound)
      }
    }
  }

  private static func event(_ frame: Substring) -> StreamEvent? {
    var fields: [String: String] = [:]
    for line in frame.split(separator: "\n") where !line.hasPrefix(":") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { continue }
      fields[String(parts[0])] = String(parts[1].drop { $0 == " " })
    }
    guard let name = fields["event"], let data = fields["data"],
      let object = jsonObject(of: Array(data.utf8))
    else { return nil }
    return StreamEvent(id: fields["id"], name: name, data: object)
  }
}

/// The JSON object that the bytes are, if they are one.
func jsonObject(of bytes: [UInt8]) -> JSONObject? {
  if case .object(let object)? = try? JSONParser.parse(bytes) { object } else { nil }
}

/// One JSON object as bytes.
func json(_ body: (inout JSONWriter) -> Void) -> [UInt8] {
  var writer = JSONWriter()
  writer.object(body)
  return writer.bytes
}

/// `240000` in SEK as `2 400.00 SEK`, by the currency's own decimals.
func money(_ minorUnits: Int64, _ currencyCode: String) -> String {
  let decimals = Currency(code: currencyCode)?.decimals ?? 2
  let digits = String(minorUnits.magnitude)
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  let whole = padded.dropLast(decimals)
  var grouped = ""
  for (index, digit) in whole.enumerated() {
    if index > 0, (whole.count - index) % 3 == 0 { grouped += " " }
    grouped.append(digit)
  }
  let fraction = decimals > 0 ? "." + padded.suffix(decimals) : ""
  return "\(minorUnits < 0 ? "-" : "")\(grouped)\(fraction) \(currencyCode)"
}
