import KassaJSON
import KassaTestSupport
import Testing

/// The real program as a process. One after the other: several of these tests need the machine for themselves.
@Suite(.serialized) enum EndToEnd {}

struct Missing: Error, CustomStringConvertible {
  let description: String
}

extension HTTPAnswer {
  /// A member that must be there.
  func text(_ name: String) throws -> String {
    guard let text = json[name]?.text else { throw Missing(description: "no \(name) in \(self)") }
    return text
  }

  /// The body without what differs from request to request.
  var comparable: String {
    String(decoding: json.setting("request_id", to: nil).bytes, as: UTF8.self)
  }
}

/// The body of a registration.
func registration(_ code: String, hardwareID: String = "phone") -> JSONValue {
  ["enrollment_code": .string(code), "hardware_id": .string(hardwareID), "platform": "ANDROID"]
}

/// No limit that the tests would run into.
let unlimited = [
  "--requests-per-second-per-merchant", "0", "--code-attempts-per-day", "1000000",
  "--code-attempts-per-source-per-minute", "1000000000",
]
