import KassaDomain
import Testing

/// The check symbol, proved.
///
/// Write a code of `n` symbols (the check symbol is the last) as a word over the 32 elements, each 5 bits. The check is
/// made of XOR, shifts and reduction only, so it is additive: the XOR of two valid words is valid (`theCheckIsAdditive`
/// shows it for every position and every pair of values, and for random words). Hence a wrong word `w ^ e` with a valid
/// `w` is refused exactly if `e` is not valid, which does not depend on `w`:
///
/// - replacing symbol `a` by `b` at a position is the error `a ^ b` there, one of 31 values;
/// - swapping the neighbours `a` and `b` is the error `a ^ b` at both, one of 31 values.
///
/// So it is enough that every such error is refused on one valid word. The tests go further: for every position and every
/// ordered pair of different symbols they make a valid word that holds that very pair, and show that it is caught there.
/// With additivity this holds for every other word too, so the proof is complete for each length it is run for. It is
/// run for the shortest length, the longest and one between; the longest covers all, because zeros in front add nothing
/// to the check, so that every shorter word is the end of a longer one.
struct EnrollmentCodeTests {
  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
  private static let lengths = Array(EnrollmentCode.symbolsMin...EnrollmentCode.symbolsMax)
  private static let provedLengths = [EnrollmentCode.symbolsMin, 13, EnrollmentCode.symbolsMax]

  private func text(_ word: [UInt8]) -> String {
    String(decoding: word.map { Self.alphabet[Int($0)] }, as: UTF8.self)
  }

  /// The symbols of a code, its check symbol included.
  private func word(_ code: EnrollmentCode) -> [UInt8] {
    code.text.utf8.compactMap { Self.alphabet.firstIndex(of: $0).map(UInt8.init) }
  }

  private func word(symbols: [UInt8]) -> [UInt8] { word(EnrollmentCode(symbols: symbols)) }

  private func randomSymbols(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0..<32, using: &generator) }
  }

  /// A valid word with `wanted` at `place` and after. When that reaches the check symbol, the first symbol is varied until
  /// the check symbol is the one wanted.
  private func validWord(
    symbols count: Int, holding wanted: [UInt8], at place: Int, _ generator: inout SeededGenerator
  ) throws -> [UInt8] {
    var symbols = randomSymbols(count, &generator)
    for (offset, symbol) in wanted.enumerated() where place + offset < count { symbols[place + offset] = symbol }
    for first: UInt8 in place == 0 ? [symbols[0]] : Array(0..<32) {
      symbols[0] = first
      let word = word(symbols: symbols)
      if Array(word[place..<place + wanted.count]) == wanted { return word }
    }
    return try #require(nil as [UInt8]?, "no word holds \(wanted) at \(place)")
  }

  @Test(arguments: provedLengths)
  func everySubstitutionIsCaught(symbols: Int) throws {
    var generator = SeededGenerator(seed: UInt64(symbols))
    var (tried, missed) = (0, 0)
    for place in 0...symbols {
      for right: UInt8 in 0..<32 {
        let word = try validWord(symbols: symbols, holding: [right], at: place, &generator)
        for wrong: UInt8 in 0..<32 where wrong != right {
          var mistyped = word
          mistyped[place] = wrong
          tried += 1
          if EnrollmentCode(typed: text(mistyped)) != nil { missed += 1 }
        }
      }
    }
    #expect(tried == (symbols + 1) * 32 * 31)
    #expect(missed == 0)
  }

  @Test(arguments: provedLengths)
  func everySwapOfNeighboursIsCaught(symbols: Int) throws {
    var generator = SeededGenerator(seed: UInt64(symbols))
    var (tried, missed) = (0, 0)
    for place in 0..<symbols {
      for left: UInt8 in 0..<32 {
        for right: UInt8 in 0..<32 where right != left {
          var swapped = try validWord(symbols: symbols, holding: [left, right], at: place, &generator)
          swapped.swapAt(place, place + 1)
          tried += 1
          if EnrollmentCode(typed: text(swapped)) != nil { missed += 1 }
        }
      }
    }
    #expect(tried == symbols * 32 * 31)
    #expect(missed == 0)
  }

  @Test(arguments: lengths)
  func theCheckIsAdditive(symbols: Int) {
    func check(_ symbols: [UInt8]) -> UInt8 { word(symbols: symbols)[symbols.count] }
    let nothing = [UInt8](repeating: 0, count: symbols)
    #expect(check(nothing) == 0)
    var broken = 0
    for place in 0..<symbols {
      let alone = (0..<32).map { (value: UInt8) in
        var word = nothing
        word[place] = value
        return check(word)
      }
      for left in 0..<32 {
        for right in 0..<32 where alone[left ^ right] != alone[left] ^ alone[right] { broken += 1 }
      }
    }
    var generator = SeededGenerator(seed: UInt64(symbols))
    for _ in 0..<500 {
      let (left, right) = (randomSymbols(symbols, &generator), randomSymbols(symbols, &generator))
      if check(zip(left, right).map { $0 ^ $1 }) != check(left) ^ check(right) { broken += 1 }
    }
    #expect(broken == 0)
  }

  /// The proofs above say something only if the harness can miss: a sum without weights lets every swap pass.
  @Test func aPlainSumWouldMissSwaps() {
    func isValid(_ word: [UInt8]) -> Bool { word.reduce(0, ^) == 0 }
    var generator = SeededGenerator(seed: 1)
    let symbols = randomSymbols(8, &generator)
    var word = symbols + [symbols.reduce(0, ^)]
    #expect(isValid(word))
    word.swapAt(2, 3)
    #expect(isValid(word))
  }

  @Test(arguments: lengths)
  func everyCodeReadsAsItself(symbols: Int) throws {
    var generator = SeededGenerator(seed: UInt64(symbols))
    for _ in 0..<50 {
      let code = EnrollmentCode(symbols: randomSymbols(symbols, &generator))
      #expect(code.text.utf8.count == symbols + 1)
      #expect(code.typedSymbols == symbols)
      #expect(EnrollmentCode(typed: code.text) == code)
    }
  }

  @Test func isFoldedWhenRead() throws {
    // 0, 1 and every letter of the alphabet, within several codes.
    let symbols = (0..<32).map { UInt8($0) }
    for start in stride(from: 0, to: 32, by: 8) {
      let code = EnrollmentCode(symbols: Array(symbols[start..<start + 8]))
      let text = code.text
      for typed in [
        text.lowercased(), " \(text) ", "--\(text)--", text.map { "\($0) " }.joined(), text.map { "\($0)-" }.joined(),
        text.replacing("0", with: "O"), text.replacing("0", with: "o"), text.replacing("1", with: "I"),
        text.replacing("1", with: "i"), text.replacing("1", with: "L"), text.replacing("1", with: "l"),
      ] {
        #expect(EnrollmentCode(typed: typed) == code, "\(typed)")
      }
    }
    let ones = EnrollmentCode(symbols: [0, 0, 0, 1, 1, 1, 1, 1])
    #expect(EnrollmentCode(typed: "0oO-1iI-lL\(ones.text.suffix(1))") == ones)
  }

  @Test func refusesOtherCharacters() throws {
    let code = EnrollmentCode(symbols: [20, 0, 0, 0, 0, 0, 0, 1])
    #expect(code.text.utf8.first == UInt8(ascii: "M"))
    let kelvin = EnrollmentCode(symbols: [19, 0, 0, 0, 0, 0, 0, 1])
    let rest = kelvin.text.dropFirst()
    #expect(EnrollmentCode(typed: "K\(rest)") == kelvin)
    #expect(EnrollmentCode(typed: "k\(rest)") == kelvin)
    let wrong = [
      "\u{212a}\(rest)",  // KELVIN SIGN, which Swift's `==` takes for K
      "\u{ff2b}\(rest)", "\u{41a}\(rest)", "K\u{301}\(rest)", "K\u{a0}\(rest)", "K\u{2011}\(rest)", "K\u{200b}\(rest)",
      "K_\(rest)", "K.\(rest)", "K\t\(rest)", "K\n\(rest)", "K\0\(rest)", "K/\(rest)", "U\(rest)", "u\(rest)",
      "\u{feff}K\(rest)", "K\(rest.dropLast())\u{661}",
    ]
    for typed in wrong { #expect(EnrollmentCode(typed: typed) == nil, "\(typed)") }
    // `U` is no symbol: whatever it may be read as, the code is refused.
    for place in 0..<9 {
      var letters = Array(code.text)
      letters[place] = "U"
      #expect(EnrollmentCode(typed: String(letters)) == nil)
    }
  }

  @Test func refusesOtherLengths() {
    // A leading zero adds nothing to the sum, so these have a right check symbol and are refused for their length only.
    let shortest = EnrollmentCode(symbols: [0, 1, 2, 3, 4, 5, 6, 7])
    let longest = EnrollmentCode(symbols: (0..<24).map { UInt8($0) })
    #expect(shortest.text.hasPrefix("0"))
    #expect(EnrollmentCode(typed: "0\(shortest.text)") != nil)
    #expect(EnrollmentCode(typed: String(shortest.text.dropFirst())) == nil)
    #expect(EnrollmentCode(typed: longest.text) == longest)
    #expect(EnrollmentCode(typed: "0\(longest.text)") == nil)
    #expect(EnrollmentCode(typed: String(repeating: "0", count: 1_000_000)) == nil)
    for count in 0...8 { #expect(EnrollmentCode(typed: String(repeating: "0", count: count)) == nil) }
    for typed in ["", " ", "-", "--- ---"] { #expect(EnrollmentCode(typed: typed) == nil) }
  }

  @Test func aUUIDIsReadInAnyCase() throws {
    let text = "6f1ac1de-0a0b-4c3d-8e4f-0123456789ab"
    let code = EnrollmentCode(uuid: try #require(Identifier<EnrollmentCode>(text: text)))
    #expect(code.text == text)
    #expect(code.typedSymbols == 0)
    #expect(EnrollmentCode(typed: text) == code)
    #expect(EnrollmentCode(typed: text.uppercased()) == code)
    #expect(EnrollmentCode(typed: text.replacing("-", with: "")) == nil)
    #expect(EnrollmentCode(typed: "\(text)0") == nil)
  }
}
