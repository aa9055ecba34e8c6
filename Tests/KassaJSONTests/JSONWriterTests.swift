import KassaJSON
import Testing

struct JSONWriterTests {
  private struct Stop: Error {}

  private func expect(
    _ expected: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: (inout JSONWriter) -> Void
  ) {
    var writer = JSONWriter(capacityBytes: 0)
    body(&writer)
    #expect(bytesEqual(String(decoding: writer.bytes, as: UTF8.self), expected), sourceLocation: sourceLocation)
    #expect(throws: Never.self, sourceLocation: sourceLocation) { try JSONParser.parse(writer.bytes) }
  }

  @Test func writesEveryKindOfMember() {
    let expected =
      #"{"s":"x","i":-5,"n":7,"t":true,"f":false,"z":null,"os":"y","oi":9,"o":{"in":1},"a":[1],"#
      + #""j":{"k":[1.50]},"id":"pay_01","raw":{"r":[]},"a\"b":"c","end":""}"#
    expect(expected) { writer in
      writer.object { writer in
        writer.member("s", "x")
        writer.member("i", Int64(-5))
        writer.member("n", 7)
        writer.member("t", true)
        writer.member("f", false)
        writer.memberNull("z")
        writer.member("os", Optional("y"))
        writer.member("left out", String?.none)
        writer.member("oi", Int64?(9))
        writer.member("left out", Int64?.none)
        writer.member("o", object: { $0.member("in", 1) })
        writer.member("a", array: { $0.element(1) })
        writer.member("j", json: object(("k", .array([.number("1.50")]))))
        Array("pay_01".utf8).withUnsafeBufferPointer { writer.member("id", bytes: $0) }
        writer.rawMember("raw", json: Array("{\"r\":[]}".utf8))
        writer.member(dynamicName: "a\"b", "c")
        writer.member("end", bytes: UnsafeBufferPointer(start: nil, count: 0))
      }
    }
  }

  @Test func writesEveryKindOfElement() {
    expect(#"["x",-5,7,true,null,{},{"a":1,"b":2},[],[1,[2]],{"z":[{}]},[],"end"]"#) { writer in
      writer.array { writer in
        writer.element("x")
        writer.element(Int64(-5))
        writer.element(7)
        writer.element(true)
        writer.elementNull()
        writer.elementObject { _ in }
        writer.elementObject { writer in
          writer.member("a", 1)
          writer.member("b", 2)
        }
        writer.elementArray { _ in }
        writer.elementArray { writer in
          writer.element(1)
          writer.elementArray { $0.element(2) }
        }
        writer.object { writer in
          writer.member("z", array: { $0.elementObject { _ in } })
        }
        writer.value(.array([]))
        writer.value(.string("end"))
      }
    }
  }

  @Test func leftOutMembersLeaveNoComma() {
    expect(#"{"b":1}"#) { writer in
      writer.object { writer in
        writer.member("a", String?.none)
        writer.member("b", 1)
        writer.member("c", Int64?.none)
      }
    }
  }

  @Test func writesScalarsAtTheTop() {
    expect("\"a\"") { $0.value(.string("a")) }
    expect("null") { $0.value(.null) }
    expect("-0") { $0.value(.number("-0")) }
    expect("{}") { $0.object { _ in } }
    expect("[]") { $0.array { _ in } }
  }

  @Test func escapesOnlyWhatItMust() {
    expect(#""\"\\/\b\f\n\r\t\u0001\u000b\u001f""#) {
      $0.value(.string("\"\\/\u{8}\u{C}\n\r\t\u{1}\u{B}\u{1F}"))
    }
    let unescaped = " !#[]~\u{7F}\u{80}\u{E9}\u{2028}\u{2029}\u{FEFF}\u{FFFF}\u{1F600}\u{10FFFF}<>&'"
    expect("\"" + unescaped + "\"") { $0.value(.string(unescaped)) }
    expect(#""\"a\"\"b c\"""#) { $0.value(.string("\"a\"\"b c\"")) }
    expect(#"{"a\"\n":1,"\u00e9":2}"#.split(separator: "\\u00e9").joined(separator: "\u{E9}")) { writer in
      writer.object { writer in
        writer.member("a\"\n", 1)
        writer.member("\u{E9}", 2)
      }
    }
  }

  @Test func writesSingleScalarsOfEveryRange() throws {
    for code in UInt32(1)...0x10FFFF where code < 0x3000 || code % 61 == 0 || code > 0x10FFF0 {
      guard let scalar = Unicode.Scalar(code) else {
        continue
      }
      let value = JSONValue.string(String(Character(scalar)))
      if outcome(written(value)) != .success(value) {
        Issue.record("U+\(String(code, radix: 16)) does not come back")
      }
    }
  }

  @Test func writesDigitsOfIntegers() {
    var values: [Int64] = [.min, .min + 1, .max, .max - 1, 0]
    var power: Int64 = 1
    for _ in 0..<18 {
      values += [power, power - 1, power + 1, -power, 1 - power, -power - 1]
      power *= 10
    }
    for value in values {
      var bytes = Array("x".utf8)
      DecimalDigits.append(value, to: &bytes)
      #expect(bytes == Array("x\(value)".utf8))
      #expect(outcome(written(.integer(value))) == .success(.integer(value)))
    }
  }

  @Test func errorsOfClosuresArePassedOn() {
    var writer = JSONWriter()
    #expect(throws: Stop.self) {
      try writer.object { writer in
        try writer.member("a", array: { _ in throw Stop() })
      }
    }
  }
}
