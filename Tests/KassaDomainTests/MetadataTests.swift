import KassaDomain
import Testing

struct MetadataTests {
  private func flaws(_ members: [(key: String, value: String)]) -> [Metadata.Flaw] {
    switch Metadata.make(members) {
    case .success: []
    case .failure(let flaws): flaws.all
    }
  }

  @Test func takesWhatIsWithinTheLimits() throws {
    let members = (0..<Metadata.pairsMax).map { number in
      let name = "\(number)"
      let filler = String(repeating: "\u{1F600}", count: Metadata.keyCharactersMax - name.unicodeScalars.count)
      return (key: name + filler, value: String(repeating: "\u{e9}", count: Metadata.valueCharactersMax))
    }
    #expect(try Metadata.make(members).get().pairs.count == Metadata.pairsMax)
    #expect(try Metadata.make([]).get() == .empty)
    #expect(try metadata(["k": ""]).pairs.map(\.value) == [""])
  }

  @Test func refusesWhatIsBeyond() {
    let many = (0...Metadata.pairsMax).map { (key: "key\($0)", value: "") }
    #expect(flaws(many).map(\.key) == [nil])
    #expect(flaws([(key: "", value: "v")]).map(\.key) == [""])
    #expect(flaws([(key: String(repeating: "k", count: 41), value: "v")]).count == 1)
    #expect(flaws([(key: "a:b", value: "v")]).map(\.key) == ["a:b"])
    #expect(flaws([(key: ":", value: "v")]).count == 1)
    #expect(flaws([(key: "k", value: String(repeating: "v", count: 501))]).map(\.key) == ["k"])
  }

  @Test func charactersAreUnicodeScalars() {
    // One grapheme each, but 41 and 501 scalars.
    let key = "e" + String(repeating: "\u{301}", count: 40)
    let value = "e" + String(repeating: "\u{301}", count: 500)
    #expect(flaws([(key: key, value: "")]).count == 1)
    #expect(flaws([(key: "k", value: value)]).count == 1)
  }

  @Test func reportsEveryFlawAtOnce() {
    let members =
      (0..<49).map { (key: "key\($0)", value: "") } + [
        (key: "", value: String(repeating: "v", count: 501)), (key: "a:b", value: ""),
      ]
    #expect(flaws(members).map(\.key) == [nil, "", "", "a:b"])
  }

  @Test func refusesAKeyGivenTwice() {
    #expect(flaws([(key: "a", value: "1"), (key: "b", value: "2"), (key: "a", value: "1")]).map(\.key) == ["a"])
  }

  @Test func isSortedByTheBytesOfItsKeys() throws {
    let keys = ["\u{10000}", "b", "\u{ffff}", "a", "aa", "B", "\u{e9}", "e\u{301}", "Z"]
    let sorted = try Metadata.make(keys.map { (key: $0, value: "") }).get().pairs.map { Array($0.key.utf8) }
    #expect(sorted == sorted.sorted { $0.lexicographicallyPrecedes($1) })
    #expect(sorted.first == Array("B".utf8))
    #expect(sorted.last == Array("\u{10000}".utf8))
  }

  @Test func theOrderOfMembersDoesNotMatter() throws {
    #expect(try metadata(["a": "1", "b": "2"]) == metadata(["b": "2", "a": "1"]))
  }

  @Test func keysAreBytes() throws {
    // Swift's `==` takes these two strings for the same one.
    let both = try metadata(["e\u{301}": "decomposed", "\u{e9}": "composed"])
    #expect(both.pairs.map(\.value) == ["decomposed", "composed"])
    let changed = both.setting("\u{e9}", to: "changed")
    #expect(changed.pairs.map(\.value) == ["decomposed", "changed"])
    #expect(changed.setting("new", to: "1").pairs.map(\.value) == ["decomposed", "1", "changed"])
  }

  @Test func equalityIsThatOfBytes() throws {
    #expect(try metadata(["e\u{301}": "1"]) != metadata(["\u{e9}": "1"]))
    #expect(try metadata(["k": "e\u{301}"]) != metadata(["k": "\u{e9}"]))
    #expect(try Set([metadata(["k": "e\u{301}"]), metadata(["k": "\u{e9}"])]).count == 2)
    #expect(try Set([metadata(["k": "v"]), metadata(["k": "v"])]).count == 1)
    #expect(try metadata(["ab": "c"]) != metadata(["a": "bc"]))
  }
}
