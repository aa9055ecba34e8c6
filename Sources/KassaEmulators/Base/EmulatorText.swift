import KassaDomain

/// Random texts, and times as HTTP writes them.
package enum EmulatorText {
  /// Lower-case hexadecimal digits.
  package static func hexadecimal(_ digits: Int) -> String { random(digits, "0123456789abcdef") }

  package static func alphanumeric(_ characters: Int) -> String {
    random(characters, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  }

  package static func uuid() -> String {
    var generator = SystemRandomNumberGenerator()
    return Identifier<EmulatorText>(using: &generator).description
  }

  private static func random(_ count: Int, _ alphabet: String) -> String {
    let alphabet = Array(alphabet.utf8)
    var generator = SystemRandomNumberGenerator()
    return String(
      decoding: (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] },
      as: UTF8.self)
  }

  /// Like `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
  package static func httpDate(_ time: Timestamp) -> String {
    let text = Array(time.description)
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let day = days[Int((time.secondsSinceEpoch / 86_400) % 7)]
    let month = months[(Int(String(text[5..<7])) ?? 1) - 1]
    return "\(day), \(String(text[8..<10])) \(month) \(String(text[0..<4])) \(String(text[11..<19])) GMT"
  }
}

/// Text as it stands in HTML.
func escapedHTML(_ text: String) -> String {
  text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    .replacing("\"", with: "&quot;")
}
