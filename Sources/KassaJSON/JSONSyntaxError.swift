/// Why a text is not accepted as JSON, and where.
package struct JSONSyntaxError: Error, Equatable, Sendable {
  /// The rule which the text breaks.
  package enum Reason: Equatable, Sendable {
    /// There is no value: no bytes, or white space only.
    case empty
    /// The text begins with the UTF-8 byte order mark (RFC 8259 section 8.1).
    case byteOrderMark
    /// The first bytes are those of UTF-16 or UTF-32 (RFC 8259 section 8.1).
    case encodingNotUTF8
    /// A string has bytes which are not well-formed UTF-8 (RFC 3629 section 3).
    case invalidUTF8
    /// The text ends inside of a value.
    case unexpectedEnd
    /// Something other than a value stands where a value must begin (RFC 8259 section 3).
    case valueExpected
    /// Something other than a string stands where a key must begin (RFC 8259 section 4).
    case keyExpected
    /// No colon follows a key (RFC 8259 section 4).
    case colonExpected
    /// Neither a comma nor the closing bracket follows an array's element (RFC 8259 section 5).
    case commaOrBracketExpected
    /// Neither a comma nor the closing brace follows an object's member (RFC 8259 section 4).
    case commaOrBraceExpected
    /// A comma stands right before the closing bracket or brace.
    case trailingComma
    /// A comment stands between the tokens.
    case comment
    /// Something other than white space follows the value (RFC 8259 section 2).
    case contentAfterValue
    /// A number does not follow the grammar (RFC 8259 section 6).
    case invalidNumber
    /// A string has an unescaped control character (RFC 8259 section 7).
    case controlCharacter
    /// The text has the character U+0000, raw or escaped.
    case nulCharacter
    /// A backslash begins none of the escapes (RFC 8259 section 7).
    case invalidEscape
    /// An escaped surrogate has no partner (RFC 8259 section 8.2).
    case loneSurrogate
    /// A key comes twice in one object.
    case duplicateKey(JSONKeyExcerpt)
    /// Arrays and objects are nested deeper than the given maximum (RFC 8259 section 9).
    case nestingTooDeep(nestingMax: Int)
  }

  /// The rule which the text breaks.
  package let reason: Reason
  /// Where: the count of bytes before the offending place, so 0 is the first byte.
  package let offsetBytes: Int

  /// Makes an error of this reason at this place.
  package init(_ reason: Reason, offsetBytes: Int) {
    self.reason = reason
    self.offsetBytes = offsetBytes
  }

  /// One line without control characters which tells the API's caller what is wrong and what to send instead.
  package var message: String {
    let place = "at byte offset \(offsetBytes)"
    return switch reason {
    case .empty:
      "the body is empty; send one JSON value"
    case .byteOrderMark:
      "the body begins with a byte order mark; send UTF-8 without one"
    case .encodingNotUTF8:
      "the body must be UTF-8, but it looks like UTF-16 or UTF-32; send it as UTF-8"
    case .invalidUTF8:
      "the body must be UTF-8, but has other bytes \(place); send it as UTF-8"
    case .unexpectedEnd:
      "the body ends inside of a JSON value \(place); send the whole value"
    case .valueExpected:
      "the body has no JSON value \(place);"
        + " send an object, array, string, number, true, false or null there"
    case .keyExpected:
      "the body has no key \(place); send each key as a string in double quotes"
    case .colonExpected:
      "the body has no colon \(place); send a colon between a key and its value"
    case .commaOrBracketExpected:
      "the body has neither a comma nor ] \(place); send a comma between elements and ] after the last one"
    case .commaOrBraceExpected:
      "the body has neither a comma nor } \(place); send a comma between members and } after the last one"
    case .trailingComma:
      "the body has a comma after the last element or member \(place); send no comma there"
    case .comment:
      "the body has a comment or a stray slash \(place); send JSON without comments"
    case .contentAfterValue:
      "the body has more content after the JSON value \(place); send one value and nothing after it"
    case .invalidNumber:
      "the body has a malformed number \(place); send decimal digits without a leading zero or plus sign"
    case .controlCharacter:
      "the body has an unescaped control character in a string \(place); send it escaped, such as \\n"
    case .nulCharacter:
      "the body has the character U+0000 \(place); send text without it"
    case .invalidEscape:
      "the body has a malformed escape \(place);"
        + " send one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t, or \\u with four hexadecimal digits"
    case .loneSurrogate:
      "the body has an escaped surrogate without its partner \(place); send both halves, or the character itself"
    case .duplicateKey(let key):
      "the body has the key \"\(key.text)\" twice; send each key once"
    case .nestingTooDeep(let nestingMax):
      "the body nests arrays and objects deeper than \(nestingMax) \(place); send at most \(nestingMax) levels"
    }
  }
}

/// The beginning of a key, fit to be shown in a message.
package struct JSONKeyExcerpt: Equatable, Sendable {
  /// The most Unicode scalars which an excerpt has, the ellipsis of a cut key included.
  package static let scalarsMax = 40

  /// At most `scalarsMax` scalars; control, format and separator characters stand as U+FFFD.
  package let text: String

  /// Takes the excerpt of a key of any length.
  package init(of key: String) {
    var scalars = String.UnicodeScalarView()
    for (count, scalar) in key.unicodeScalars.prefix(Self.scalarsMax + 1).enumerated() {
      if count == Self.scalarsMax {
        scalars.removeLast()
        scalars.append("\u{2026}")
      } else {
        scalars.append(Self.isShown(scalar) ? scalar : "\u{FFFD}")
      }
    }
    text = String(scalars)
  }

  /// True when both texts have the same bytes.
  package static func == (left: JSONKeyExcerpt, right: JSONKeyExcerpt) -> Bool {
    bytesEqual(left.text, right.text)
  }

  private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: false
    default: true
    }
  }
}
