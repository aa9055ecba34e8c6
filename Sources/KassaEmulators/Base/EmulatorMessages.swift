import KassaDomain
import KassaJSON

/// A request as an emulator sees it.
package struct EmulatorRequest: Sendable {
  package let method: String
  /// Without the query, as it stood in the request line.
  package let path: String
  package let query: [(name: String, value: String)]
  /// Names in lower case.
  package let headers: [(name: String, value: String)]
  package let body: [UInt8]
  /// What stood in the places of the route's `{…}`.
  package let parameters: [String: String]
  /// By the emulator's clock.
  package let at: Timestamp
  /// How answering it breaks, if it does: given only to an emulator that keeps answers.
  var breakdown: EmulatorBreakdown?

  package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  /// The body, if it is one JSON object.
  package var json: JSONObject? {
    if case .object(let object)? = try? JSONParser.parse(body) { object } else { nil }
  }

  /// The body as `application/x-www-form-urlencoded`, in its order; `nil` for a broken escape or no UTF-8.
  package var form: [(name: String, value: String)]? { FormDecoding.decode(String(decoding: body, as: UTF8.self)) }
}

/// The provider breaks while it acts upon a request, and keeps that as its answer.
struct EmulatorBreakdown: Sendable {
  let status: Int
  /// Whether what was asked for is done all the same.
  let hasEffect: Bool
}

package struct EmulatorResponse: Sendable {
  package var status: Int
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]

  package init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  package static func json(
    _ status: Int, type: String = "application/json", headers: [(name: String, value: String)] = [],
    _ members: (inout JSONWriter) -> Void
  ) -> EmulatorResponse {
    var writer = JSONWriter()
    writer.object(members)
    return EmulatorResponse(status: status, headers: [("content-type", type)] + headers, body: writer.bytes)
  }
}

enum FormDecoding {
  static func decode(_ text: String) -> [(name: String, value: String)]? {
    var fields: [(name: String, value: String)] = []
    for pair in text.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = unescape(parts[0]), let value = unescape(parts.count == 2 ? parts[1] : "") else { return nil }
      fields.append((name, value))
    }
    return fields
  }

  static func unescape(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(hexadecimalValue), let low = rest.popFirst().flatMap(hexadecimalValue)
        else { return nil }
        bytes.append(high << 4 | low)
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
