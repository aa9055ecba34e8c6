import KassaJSON
import Testing

struct JSONValueTests {
  @Test func bytesEqualIsNotCanonicalEquivalence() {
    #expect(bytesEqual("", ""))
    #expect(bytesEqual("a longer text which is stored on the heap", "a longer text which is stored on the heap"))
    #expect(!bytesEqual("\u{E9}", "e\u{301}"))
    #expect(!bytesEqual("K", "\u{212A}"))
    #expect(!bytesEqual("a", "ab"))
    #expect(!bytesEqual("a", "b"))
  }

  @Test func equalityIsExact() {
    #expect(JSONValue.string("\u{E9}") != .string("e\u{301}"))
    #expect(JSONValue.array([.string("K")]) != .array([.string("\u{212A}")]))
    #expect(object(("K", .null)) != object(("\u{212A}", .null)))
    #expect(JSONValue.number("1.0") != .number("1.00"))
    #expect(JSONValue.number("1.0") != .integer(1))
    #expect(JSONValue.null != .bool(false))
    #expect(object(("a", .null), ("b", .null)) != object(("b", .null), ("a", .null)))
    #expect(object(("a", .array([.null]))) == object(("a", .array([.null]))))
  }

  @Test func lookupFindsTheFirstMemberOfTheName() {
    let members = JSONObject(members: [
      .init(name: "a", value: .integer(1)), .init(name: "a", value: .integer(2)), .init(name: "", value: .null),
    ])
    #expect(members["a"] == .integer(1))
    #expect(members[""] == .null)
    #expect(members["b"] == nil)
  }
}
