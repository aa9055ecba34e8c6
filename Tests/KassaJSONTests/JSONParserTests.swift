import KassaJSON
import Testing

struct Accepted: Sendable {
  let text: String
  let value: JSONValue

  init(_ text: String, _ value: JSONValue) {
    self.text = text
    self.value = value
  }
}

struct Refused: Sendable {
  let bytes: [UInt8]
  let reason: JSONSyntaxError.Reason
  let offsetBytes: Int

  init(_ text: String, _ reason: JSONSyntaxError.Reason, _ offsetBytes: Int) {
    self.init(Array(text.utf8), reason, offsetBytes)
  }

  init(_ bytes: [UInt8], _ reason: JSONSyntaxError.Reason, _ offsetBytes: Int) {
    self.bytes = bytes
    self.reason = reason
    self.offsetBytes = offsetBytes
  }
}

let acceptedTable: [Accepted] = [
  // Literals and white space.
  .init("null", .null),
  .init("true", .bool(true)),
  .init(" \t\r\n false \n\r\t ", .bool(false)),
  // Integers.
  .init("0", .integer(0)),
  .init("7", .integer(7)),
  .init("-1", .integer(-1)),
  .init("1200", .integer(1200)),
  .init("9223372036854775807", .integer(.max)),
  .init("-9223372036854775808", .integer(.min)),
  // Other numbers keep their text.
  .init("-0", .number("-0")),
  .init("9223372036854775808", .number("9223372036854775808")),
  .init("-9223372036854775809", .number("-9223372036854775809")),
  .init("100000000000000000000000000000", .number("100000000000000000000000000000")),
  .init("1.0", .number("1.0")),
  .init("0.25", .number("0.25")),
  .init("-0.0", .number("-0.0")),
  .init("1e2", .number("1e2")),
  .init("0e0", .number("0e0")),
  .init("0E+1", .number("0E+1")),
  .init("-12.50E-03", .number("-12.50E-03")),
  .init("1e99999", .number("1e99999")),
  // Strings.
  .init("\"\"", .string("")),
  .init("\"till\"", .string("till")),
  .init("\"\u{7F}\"", .string("\u{7F}")),
  .init("\"// no /* comment */\"", .string("// no /* comment */")),
  .init("\"\u{E9}\u{20AC}\u{1F600}\"", .string("\u{E9}\u{20AC}\u{1F600}")),
  .init(
    "\"\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFE}\u{FFFF}\"",
    .string("\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFE}\u{FFFF}")),
  .init("\"\u{10000}\u{10FFFF}\"", .string("\u{10000}\u{10FFFF}")),
  .init("\"\u{2028}\u{2029}\u{FEFF}\"", .string("\u{2028}\u{2029}\u{FEFF}")),
  .init(#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")),
  .init(#""\u0041\u00e9\u20AC""#, .string("A\u{E9}\u{20AC}")),
  .init(#""\u0001\u001F\u007f""#, .string("\u{1}\u{1F}\u{7F}")),
  .init(#""\ud83d\ude00""#, .string("\u{1F600}")),
  .init(#""\uD800\uDC00\uDBFF\uDFFF""#, .string("\u{10000}\u{10FFFF}")),
  .init(#""\uffff\uFFFE""#, .string("\u{FFFF}\u{FFFE}")),
  .init(#""\\u0000""#, .string("\\u0000")),
  .init(#""a\nb\nc""#, .string("a\nb\nc")),
  .init(#""x\u0022y""#, .string("x\"y")),
  // Arrays.
  .init("[]", .array([])),
  .init("[ \n ]", .array([])),
  .init("[[],[[]]]", .array([.array([]), .array([.array([])])])),
  .init("[1 , \"a\",null,true,-2.5]", .array([.integer(1), .string("a"), .null, .bool(true), .number("-2.5")])),
  // Objects.
  .init("{}", object()),
  .init("{\t}", object()),
  .init("{\"\":0}", object(("", .integer(0)))),
  .init("{ \"b\" : 1 , \"a\" : { } }", object(("b", .integer(1)), ("a", object()))),
  .init("{\"a\":1,\"A\":2,\" a\":3}", object(("a", .integer(1)), ("A", .integer(2)), (" a", .integer(3)))),
  .init(#"{"\u0061":1,"b":{"a":2}}"#, object(("a", .integer(1)), ("b", object(("a", .integer(2)))))),
  .init("[{\"a\":1},{\"a\":1}]", .array([object(("a", .integer(1))), object(("a", .integer(1)))])),
]

let refusedTable: [Refused] = [
  // Nothing, or not enough.
  .init("", .empty, 0),
  .init(" \n\t", .empty, 3),
  .init("[", .unexpectedEnd, 1),
  .init("[1", .unexpectedEnd, 2),
  .init("[1,", .unexpectedEnd, 3),
  .init("{", .unexpectedEnd, 1),
  .init("{\"a\"", .unexpectedEnd, 4),
  .init("{\"a\":", .unexpectedEnd, 5),
  .init("{\"a\":1", .unexpectedEnd, 6),
  .init("{\"a\":1,", .unexpectedEnd, 7),
  .init("\"", .unexpectedEnd, 1),
  .init("\"abc", .unexpectedEnd, 4),
  .init("\"abc\\", .unexpectedEnd, 5),
  .init("\"\\u00", .unexpectedEnd, 5),
  .init("\"\\ud800", .unexpectedEnd, 7),
  .init("\"\\ud800\\", .unexpectedEnd, 8),
  .init("\"\\ud800\\udc0", .unexpectedEnd, 12),
  .init("tru", .unexpectedEnd, 3),
  // More than one value.
  .init("1 2", .contentAfterValue, 2),
  .init("{}}", .contentAfterValue, 2),
  .init("[]]", .contentAfterValue, 2),
  .init("null,", .contentAfterValue, 4),
  .init("truex", .contentAfterValue, 4),
  .init("\"a\"\"b\"", .contentAfterValue, 3),
  .init("1\u{C}", .contentAfterValue, 1),
  .init("1\u{A0}", .contentAfterValue, 1),
  .init("1a", .contentAfterValue, 1),
  .init("0x1F", .contentAfterValue, 1),
  .init("1_000", .contentAfterValue, 1),
  // Not a value.
  .init("]", .valueExpected, 0),
  .init("[,1]", .valueExpected, 1),
  .init("[1,,2]", .valueExpected, 3),
  .init("{\"a\":}", .valueExpected, 5),
  .init("{\"a\":,\"b\":1}", .valueExpected, 5),
  .init("True", .valueExpected, 0),
  .init("nul1", .valueExpected, 0),
  .init("NaN", .valueExpected, 0),
  .init("[Infinity]", .valueExpected, 1),
  .init("'a'", .valueExpected, 0),
  .init("abc", .valueExpected, 0),
  .init("\u{B}1", .valueExpected, 0),
  .init("#1", .valueExpected, 0),
  .init([0x5B, 0xFF, 0x5D], .valueExpected, 1),
  // Punctuation.
  .init("[1,]", .trailingComma, 2),
  .init("[1 , \n]", .trailingComma, 3),
  .init("{\"a\":1,}", .trailingComma, 6),
  .init("[1 2]", .commaOrBracketExpected, 3),
  .init("[1}", .commaOrBracketExpected, 2),
  .init("[\"a\":1]", .commaOrBracketExpected, 4),
  .init("{\"a\":1 \"b\":2}", .commaOrBraceExpected, 7),
  .init("{\"a\":1]", .commaOrBraceExpected, 6),
  .init("{\"a\" 1}", .colonExpected, 5),
  .init("{\"a\"}", .colonExpected, 4),
  .init("{\"a\",\"b\"}", .colonExpected, 4),
  .init("{\"a\"::1}", .valueExpected, 5),
  .init("{a:1}", .keyExpected, 1),
  .init("{'a':1}", .keyExpected, 1),
  .init("{1:1}", .keyExpected, 1),
  .init("{,}", .keyExpected, 1),
  .init("{\"a\":1,,\"b\":2}", .keyExpected, 7),
  // Comments.
  .init("// note\n1", .comment, 0),
  .init("[1/* note */]", .comment, 2),
  .init("{/**/}", .comment, 1),
  .init("1 // note", .comment, 2),
  .init("1 /", .comment, 2),
  // Numbers.
  .init("01", .invalidNumber, 0),
  .init("-01", .invalidNumber, 1),
  .init("00", .invalidNumber, 0),
  .init("[-012]", .invalidNumber, 2),
  .init("+1", .invalidNumber, 0),
  .init(".5", .invalidNumber, 0),
  .init("-", .invalidNumber, 1),
  .init("--1", .invalidNumber, 1),
  .init("-.5", .invalidNumber, 1),
  .init("-Infinity", .invalidNumber, 1),
  .init("1.", .invalidNumber, 2),
  .init("[1.]", .invalidNumber, 3),
  .init("1.e2", .invalidNumber, 2),
  .init("1e", .invalidNumber, 2),
  .init("1e+", .invalidNumber, 3),
  .init("1e+-2", .invalidNumber, 3),
  .init("1E.5", .invalidNumber, 2),
  .init("-\u{661}", .invalidNumber, 1),
  .init("1e2.5", .contentAfterValue, 3),
  .init("1.2.3", .contentAfterValue, 3),
  // Characters of strings.
  .init("\"a\nb\"", .controlCharacter, 2),
  .init("\"\t\"", .controlCharacter, 1),
  .init("\"\u{1F}\"", .controlCharacter, 1),
  .init("{\"k\u{1}\":1}", .controlCharacter, 3),
  .init("\"ab\u{0}\"", .nulCharacter, 3),
  .init("[1,\u{0}]", .nulCharacter, 3),
  .init("[1]\u{0}", .nulCharacter, 3),
  .init("\"ab\\u0000\"", .nulCharacter, 3),
  .init("{\"\\u0000\":1}", .nulCharacter, 2),
  // Escapes.
  .init("\"\\a\"", .invalidEscape, 1),
  .init("\"x\\'\"", .invalidEscape, 2),
  .init("\"\\U0041\"", .invalidEscape, 1),
  .init("\"\\x41\"", .invalidEscape, 1),
  .init("\"\\u004\"", .invalidEscape, 1),
  .init("\"\\u00G0\"", .invalidEscape, 1),
  .init("\"\\u+041\"", .invalidEscape, 1),
  .init("\"\\\u{E9}\"", .invalidEscape, 1),
  .init("\"\\\n\"", .invalidEscape, 1),
  .init("\"\\ud83d\\uzzzz\"", .invalidEscape, 7),
  // Surrogates.
  .init("\"\\ud83d\"", .loneSurrogate, 1),
  .init("\"ab\\ude00\"", .loneSurrogate, 3),
  .init("\"\\ud83dx\"", .loneSurrogate, 1),
  .init("\"\\ud83d\\n\"", .loneSurrogate, 1),
  .init("\"\\ud83d\\u0041\"", .loneSurrogate, 1),
  .init("\"\\ud83d\\ud83d\\ude00\"", .loneSurrogate, 1),
  .init("\"\\ude00\\ud83d\"", .loneSurrogate, 1),
  // UTF-8.
  .init([0x22, 0x80, 0x22], .invalidUTF8, 1),
  .init([0x22, 0x61, 0xBF, 0x22], .invalidUTF8, 2),
  .init([0x22, 0xC0, 0x80, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xC1, 0xBF, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xC3, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xC3], .invalidUTF8, 1),
  .init([0x22, 0xE0, 0x9F, 0xBF, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xE2, 0x82, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xED, 0xA0, 0x80, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xED, 0xBF, 0xBF, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xF0, 0x8F, 0xBF, 0xBF, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xF0, 0x9F, 0x98, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xF5, 0x80, 0x80, 0x80, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xF8, 0x88, 0x80, 0x80, 0x80, 0x22], .invalidUTF8, 1),
  .init([0x22, 0xFF, 0x22], .invalidUTF8, 1),
  .init([0x22, 0x5C, 0x6E, 0xC3, 0xA9, 0xFE, 0x22], .invalidUTF8, 5),
  // Other encodings.
  .init([0xEF, 0xBB, 0xBF, 0x31], .byteOrderMark, 0),
  .init([0xEF, 0xBB, 0xBF], .byteOrderMark, 0),
  .init([0xFE, 0xFF, 0x00, 0x31], .encodingNotUTF8, 0),
  .init([0xFF, 0xFE, 0x31, 0x00], .encodingNotUTF8, 0),
  .init([0xFF, 0xFE, 0x00, 0x00, 0x31, 0x00, 0x00, 0x00], .encodingNotUTF8, 0),
  .init([0x00, 0x00, 0xFE, 0xFF, 0x00, 0x00, 0x00, 0x31], .encodingNotUTF8, 0),
  .init([0x31, 0x00], .encodingNotUTF8, 0),
  .init([0x00, 0x31], .encodingNotUTF8, 0),
  .init([0x7B, 0x00, 0x7D, 0x00], .encodingNotUTF8, 0),
  .init([0x00, 0x7B, 0x00, 0x7D], .encodingNotUTF8, 0),
  .init([0x31, 0x00, 0x00, 0x00], .encodingNotUTF8, 0),
  .init([0x00, 0x00, 0x00, 0x31], .encodingNotUTF8, 0),
  .init([0x00], .nulCharacter, 0),
  .init([0x20, 0xEF, 0xBB, 0xBF, 0x31], .valueExpected, 1),
  // Keys which come twice.
  .init("{\"a\":1,\"a\":1}", duplicate("a"), 7),
  .init("{\"a\":1,\"\\u0061\":2}", duplicate("a"), 7),
  .init("{\"\":1,\"\":2}", duplicate(""), 6),
  .init("[{\"b\":{\"k\":1,\"x\":2,\"k\":3}}]", duplicate("k"), 19),
  .init("{\"\\ud83d\\ude00\":1,\"\u{1F600}\":2}", duplicate("\u{1F600}"), 18),
]

struct JSONParserTests {
  @Test(arguments: acceptedTable)
  func accepts(_ entry: Accepted) {
    #expect(outcome(entry.text) == .success(entry.value))
  }

  @Test(arguments: refusedTable)
  func refuses(_ entry: Refused) {
    #expect(outcome(entry.bytes) == refusal(entry.reason, entry.offsetBytes))
  }

  @Test func everyTruncationOfObjectIsRefused() {
    let document = Array(#" {"a":[1,-2.5e+3,{"b":"\u00e9\ud83d\ude00"}],"c":null} "#.utf8)
    #expect(throws: Never.self) { try JSONParser.parse(document) }
    for count in 0..<document.count - 1 {
      guard case .failure(let error) = outcome(Array(document[..<count])) else {
        Issue.record("accepted the first \(count) bytes")
        continue
      }
      #expect(error.offsetBytes <= count)
    }
  }

  // MARK: Nesting

  @Test func nestingIsLimited() {
    func arrays(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    func objects(_ depth: Int) -> String {
      String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth)
    }
    let tooDeep = JSONSyntaxError.Reason.nestingTooDeep(nestingMax: 32)

    #expect(throws: Never.self) { try outcome(arrays(32)).get() }
    #expect(outcome(arrays(33)) == refusal(tooDeep, 32))
    #expect(throws: Never.self) { try outcome(objects(32)).get() }
    #expect(outcome(objects(33)) == refusal(tooDeep, 32 * 5))
    #expect(outcome(arrays(100_000)) == refusal(tooDeep, 32))
    #expect(outcome(String(repeating: "[", count: 100_000)) == refusal(tooDeep, 32))
    #expect(outcome(String(repeating: "{\"a\":", count: 100_000)) == refusal(tooDeep, 32 * 5))
  }

  @Test func nestingCountsOnlyWhatIsOpen() {
    let sibling = String(repeating: "[", count: 31) + String(repeating: "]", count: 31)
    #expect(throws: Never.self) { try outcome("[" + sibling + "," + sibling + "," + sibling + "]").get() }
  }

  @Test func nestingMaxIsAParameter() {
    let deep = Array((String(repeating: "[", count: 128) + String(repeating: "]", count: 128)).utf8)
    let deeper = [UInt8(ascii: "[")] + deep + [UInt8(ascii: "]")]

    #expect(outcome(Array("1".utf8), nestingMax: 0) == .success(.integer(1)))
    #expect(outcome(Array("[]".utf8), nestingMax: 0) == refusal(.nestingTooDeep(nestingMax: 0), 0))
    #expect(outcome(Array("{}".utf8), nestingMax: -5) == refusal(.nestingTooDeep(nestingMax: 0), 0))
    #expect(outcome(Array("[[]]".utf8), nestingMax: 1) == refusal(.nestingTooDeep(nestingMax: 1), 1))
    #expect(throws: Never.self) { try JSONParser.parse(deep, nestingMax: .max) }
    #expect(outcome(deeper, nestingMax: .max) == refusal(.nestingTooDeep(nestingMax: 128), 128))
  }

  // MARK: Keys

  @Test func keysAreComparedByBytes() throws {
    let canonicallyEqual = "{\"\u{E9}\":1,\"e\u{301}\":2,\"K\":3,\"\u{212A}\":4}"
    guard case .object(let parsed) = try outcome(canonicallyEqual).get() else {
      Issue.record("not an object")
      return
    }
    #expect(parsed.members.count == 4)
    #expect(parsed["\u{E9}"] == .integer(1))
    #expect(parsed["e\u{301}"] == .integer(2))
    #expect(parsed["K"] == .integer(3))
    #expect(parsed["\u{212A}"] == .integer(4))
    #expect(parsed["k"] == nil)
  }

  @Test func keysOfLargeObjectsAreComparedByBytes() {
    let fillers = (0..<20).map { "\"filler\($0)\":0," }.joined()

    #expect(throws: Never.self) { try outcome("{" + fillers + "\"\u{E9}\":1,\"e\u{301}\":2}").get() }
    let prefix = "{" + fillers + "\"z\":1,"
    #expect(outcome(prefix + "\"\\u007a\":2}") == refusal(duplicate("z"), prefix.utf8.count))
  }

  @Test(arguments: 1...12)
  func duplicateIsFoundAtEveryCount(_ count: Int) {
    let members = (0..<count).map { "\"k\($0)\":0" }.joined(separator: ",")
    #expect(throws: Never.self) { try outcome("{" + members + "}").get() }
    for index in 0..<count {
      let text = "{" + members + ",\"k\(index)\":0}"
      #expect(outcome(text) == refusal(duplicate("k\(index)"), members.utf8.count + 2))
    }
  }

  @Test func hundredThousandKeysTakeReasonableTime() {
    let prefix = "{" + (0..<100_000).map { "\"key-\($0)\":\($0)," }.joined()
    let text = prefix + "\"key-4711\":0}"

    let clock = ContinuousClock()
    let elapsed = clock.measure {
      #expect(outcome(text) == refusal(duplicate("key-4711"), prefix.utf8.count))
    }
    #expect(elapsed < .seconds(10))
  }

  // MARK: Entry points

  @Test func allEntryPointsAgree() throws {
    let bytes = Array(" {\"a\":[1,\"\u{20AC}\"]} ".utf8)
    let expected = object(("a", .array([.integer(1), .string("\u{20AC}")])))

    #expect(try JSONParser.parse(bytes) == expected)
    #expect(try bytes.withUnsafeBytes { try JSONParser.parse($0) } == expected)
    #expect(try JSONParser.parse(bytes[...]) == expected)
    #expect(try JSONParser.parse(bytes[1..<bytes.count - 1]) == expected)
    #expect(try JSONParser.parse(bytes.lazy.map { $0 }) == expected)
    #expect(throws: JSONSyntaxError(.unexpectedEnd, offsetBytes: 4)) { try JSONParser.parse(bytes[1..<5]) }
    #expect(throws: JSONSyntaxError(.empty, offsetBytes: 0)) {
      try JSONParser.parse(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    #expect(throws: JSONSyntaxError(.empty, offsetBytes: 0)) { try JSONParser.parse(EmptyCollection<UInt8>()) }
  }
}
