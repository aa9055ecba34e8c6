/// A code that a clerk types (contract, section 2, "The code"): random symbols of Crockford base 32 and one check
/// symbol, or, for a long life, the text of a UUID.
///
/// The check symbol makes the weighted sum of all symbols zero in the field of 32 elements, where the symbol at distance
/// `d` from the end weighs `a` to the power `d` and `a` generates the field's 31 non-zero elements. A single wrong symbol
/// changes the sum because no weight is zero; a swap of two different symbols changes it because no two weights within
/// 31 places are equal. So both are always caught.
package struct EnrollmentCode: Hashable, Sendable {
  /// The canonical form: upper-case symbols without separators, or a lower-case UUID.
  package let text: String
  /// Random symbols, the check symbol not counted; 0 for a UUID-shaped code.
  package let typedSymbols: Int

  /// Random symbols of the shortest typed code.
  package static let symbolsMin = 8
  /// Random symbols of the longest: within 31 places, check symbol included, the check catches every swap.
  package static let symbolsMax = 24

  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

  /// Appends the check symbol to `symbols`, each a value below 32. Takes 8 to 24 symbols.
  package init(symbols: some Collection<UInt8>) {
    precondition((Self.symbolsMin...Self.symbolsMax).contains(symbols.count), "a typed code has 8 to 24 random symbols")
    let check = Self.weightedSum(symbols, lastWeightExponent: 1)
    let all = Array(symbols) + [check]
    text = String(decoding: all.map { Self.alphabet[Int($0)] }, as: UTF8.self)
    typedSymbols = symbols.count
  }

  /// The UUID-shaped code of 122 random bits that a life above two hours gets.
  package init(uuid: Identifier<EnrollmentCode>) {
    text = uuid.description
    typedSymbols = 0
  }

  /// Reads what a person typed: any case, `O` as `0`, `I` and `L` as `1`, spaces and dashes dropped, ASCII only.
  /// A UUID is read in any case. `nil` when it cannot be a code: a wrong symbol, length or check symbol.
  package init?(typed: String) {
    if let uuid = Identifier<EnrollmentCode>(text: typed) {
      self.init(uuid: uuid)
      return
    }
    var symbols: [UInt8] = []
    for byte in typed.utf8 {
      if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "-") { continue }
      guard let symbol = Self.symbol(byte), symbols.count <= Self.symbolsMax else { return nil }
      symbols.append(symbol)
    }
    guard symbols.count > Self.symbolsMin, symbols.count <= Self.symbolsMax + 1,
      Self.weightedSum(symbols, lastWeightExponent: 0) == 0
    else { return nil }
    self.init(symbols: symbols.dropLast())
  }

  /// The value of one symbol after folding, or `nil`.
  private static func symbol(_ byte: UInt8) -> UInt8? {
    let upper = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) ? byte - 32 : byte
    switch upper {
    case UInt8(ascii: "O"): return 0
    case UInt8(ascii: "I"), UInt8(ascii: "L"): return 1
    default: return alphabet.firstIndex(of: upper).map(UInt8.init)
    }
  }

  /// The sum of `symbols[i] * a^(distance of i from the end + lastWeightExponent)`, by Horner's rule.
  private static func weightedSum(_ symbols: some Collection<UInt8>, lastWeightExponent: Int) -> UInt8 {
    var sum: UInt8 = 0
    for symbol in symbols { sum = timesGenerator(sum) ^ symbol }
    for _ in 0..<lastWeightExponent { sum = timesGenerator(sum) }
    return sum
  }

  /// Multiplies by the generator `x` modulo the primitive polynomial `x^5 + x^2 + 1`.
  private static func timesGenerator(_ element: UInt8) -> UInt8 {
    let shifted = element << 1
    return shifted & 0b10_0000 == 0 ? shifted : shifted ^ 0b10_0101
  }
}
