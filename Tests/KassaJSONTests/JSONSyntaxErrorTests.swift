import KassaJSON
import Testing

struct JSONSyntaxErrorTests {
  @Test func messagesSayWhatToSend() {
    for entry in refusedTable {
      let message = JSONSyntaxError(entry.reason, offsetBytes: entry.offsetBytes).message
      #expect(message.utf8.starts(with: "the body ".utf8))
      #expect(message.utf8.contains(UInt8(ascii: ";")), "\(message)")
      #expect(message.unicodeScalars.count <= 160, "\(message)")
      #expect(!message.unicodeScalars.contains { $0.properties.generalCategory == .control }, "\(message)")
    }
  }

  @Test func messageNamesTheKeyTwice() {
    let error = JSONSyntaxError(duplicate("a"), offsetBytes: 7)
    #expect(bytesEqual(error.message, "the body has the key \"a\" twice; send each key once"))
  }

  @Test func messageNamesTheNestingMax() {
    let error = JSONSyntaxError(.nestingTooDeep(nestingMax: 32), offsetBytes: 32)
    let expected =
      "the body nests arrays and objects deeper than 32 at byte offset 32; send at most 32 levels"
    #expect(bytesEqual(error.message, expected))
  }

  @Test func keysAreCutAndCleaned() {
    let forty = String(repeating: "k", count: 40)
    #expect(bytesEqual(JSONKeyExcerpt(of: forty).text, forty))
    let cut = String(repeating: "k", count: 39) + "\u{2026}"
    #expect(bytesEqual(JSONKeyExcerpt(of: forty + "k").text, cut))
    #expect(bytesEqual(JSONKeyExcerpt(of: String(repeating: "k", count: 1_000_000)).text, cut))
    #expect(JSONKeyExcerpt(of: "e" + String(repeating: "\u{301}", count: 5000)).text.unicodeScalars.count == 40)
    let controls = "a\n\u{1B}\u{7F}\u{85}\u{2028}\u{202E}\u{E9}"
    #expect(bytesEqual(JSONKeyExcerpt(of: controls).text, "a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{E9}"))
    #expect(bytesEqual(JSONKeyExcerpt(of: "").text, ""))
  }

  @Test func equalityHeedsReasonAndOffset() {
    #expect(JSONSyntaxError(.empty, offsetBytes: 0) == JSONSyntaxError(.empty, offsetBytes: 0))
    #expect(JSONSyntaxError(.empty, offsetBytes: 0) != JSONSyntaxError(.empty, offsetBytes: 1))
    #expect(JSONSyntaxError(.empty, offsetBytes: 0) != JSONSyntaxError(.comment, offsetBytes: 0))
    #expect(duplicate("\u{E9}") != duplicate("e\u{301}"))
  }
}
