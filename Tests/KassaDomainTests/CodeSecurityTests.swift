import KassaDomain
import Testing

struct CodeSecurityTests {
  /// Non-negative whole numbers of any size, most significant bit last: an arithmetic that shares nothing with the one
  /// under test.
  private struct BigNumber: Equatable {
    private var bits: [Bool]

    init(_ value: Int64) {
      bits = (0..<63).map { value >> $0 & 1 == 1 }
    }

    private init(bits: [Bool]) { self.bits = bits }

    static func powerOfTwo(_ exponent: Int) -> BigNumber {
      BigNumber(bits: [Bool](repeating: false, count: exponent) + [true])
    }

    static func + (left: BigNumber, right: BigNumber) -> BigNumber {
      var (sum, carry): ([Bool], Bool) = ([], false)
      for place in 0...max(left.bits.count, right.bits.count) {
        let ones = [left.bit(place), right.bit(place), carry].count { $0 }
        sum.append(ones % 2 == 1)
        carry = ones > 1
      }
      return BigNumber(bits: sum)
    }

    static func * (left: BigNumber, right: BigNumber) -> BigNumber {
      var product = BigNumber(bits: [])
      for (place, bit) in right.bits.enumerated() where bit {
        product = product + BigNumber(bits: [Bool](repeating: false, count: place) + left.bits)
      }
      return product
    }

    static func <= (left: BigNumber, right: BigNumber) -> Bool {
      for place in (0..<max(left.bits.count, right.bits.count)).reversed() where left.bit(place) != right.bit(place) {
        return right.bit(place)
      }
      return true
    }

    private func bit(_ place: Int) -> Bool { place < bits.count && bits[place] }
  }

  /// Whether *live x attempts / 32^symbols <= 2^-20*, multiplied out: *live x attempts x 2^20 <= 2^(5 symbols)*.
  private func holds(live: BigNumber, attempts: Int64, symbols: Int) -> Bool {
    live * BigNumber(attempts) * .powerOfTwo(20) <= .powerOfTwo(5 * symbols)
  }

  private static let figures: [Int64] = [
    0, 1, 2, 3, 31, 32, 99, 103, 104, 105, 1023, 1024, 10_000, 1 << 20, 1 << 20 + 1, 1 << 31, 1 << 40, 1 << 45, 1 << 60,
    1 << 62, .max - 1, .max,
  ]

  @Test(arguments: figures)
  func theNextCodeHasTheSmallestLengthThatHolds(live: Int64) {
    for attempts in Self.figures {
      let security = CodeSecurity(liveCodes: [8: live], attemptsPerDay: attempts)
      let expected = (8...24).first {
        holds(live: BigNumber(live) + BigNumber(1), attempts: attempts, symbols: $0)
      }
      #expect(security.symbolsForNextCode == expected, "live \(live), attempts \(attempts)")
    }
  }

  /// The contract's table: with 10 000 attempts a day, 104 codes may live with the shortest length.
  @Test(
    arguments: [
      (0, 10_000, 8), (103, 10_000, 8), (104, 10_000, 9), (3354, 10_000, 9), (3355, 10_000, 10), (0, 1 << 20, 8),
      (0, 1 << 20 + 1, 9), (0, 0, 8), (1_000_000, 10_000, 11), (.max, 0, 8),
    ] as [(Int64, Int64, Int)])
  func lengthsByHand(live: Int64, attempts: Int64, symbols: Int) {
    #expect(CodeSecurity(liveCodes: [8: live], attemptsPerDay: attempts).symbolsForNextCode == symbols)
  }

  @Test func everyLiveCodeCountsWhateverItsLength() {
    let security = CodeSecurity(liveCodes: [8: 50, 9: 50, 24: 4], attemptsPerDay: 10_000)
    #expect(security.liveTotal == 104)
    #expect(security.symbolsForNextCode == 9)
  }

  @Test func theLongestCodeMayBeTooShort() {
    #expect(CodeSecurity(liveCodes: [8: .max], attemptsPerDay: .max).symbolsForNextCode == nil)
    #expect(CodeSecurity(liveCodes: [8: .max, 9: .max], attemptsPerDay: 1).symbolsForNextCode == 17)
  }

  @Test(
    arguments: [
      ([:], 10_000, 10_000), ([8: 104], 10_000, 10_000), ([8: 105], 10_000, 9986), ([8: 1], 1 << 30, 1 << 20),
      ([8: 1 << 20], 10_000, 1), ([8: 1 << 20 + 1], 10_000, 0), ([9: 105], 1 << 30, 319_566),
      ([8: 105, 9: 105], 1 << 30, 9986), ([24: .max], 10_000, 10_000), ([8: 5], 0, 0),
    ] as [([Int: Int64], Int64, Int64)])
  func attemptsAreClampedToWhatHolds(live: [Int: Int64], attempts: Int64, held: Int64) {
    #expect(CodeSecurity(liveCodes: live, attemptsPerDay: attempts).attemptsThatHold == held)
  }

  /// What is evaluated keeps the bound for each length, and one attempt more would not (or the setting is what ends it).
  @Test(arguments: figures)
  func attemptsThatHoldAreTheMostThatHold(live: Int64) {
    for attempts in Self.figures {
      for lengths in [[8], [9], [16], [17], [18], [24], [8, 12], [16, 17]] {
        let liveCodes = Dictionary(uniqueKeysWithValues: lengths.map { ($0, live) })
        let held = CodeSecurity(liveCodes: liveCodes, attemptsPerDay: attempts).attemptsThatHold
        func holdsForAll(_ attempts: Int64) -> Bool {
          lengths.allSatisfy { holds(live: BigNumber(live), attempts: attempts, symbols: $0) }
        }
        #expect(held <= attempts)
        #expect(holdsForAll(held), "live \(live), attempts \(attempts), lengths \(lengths)")
        if held < attempts {
          #expect(!holdsForAll(held + 1), "live \(live), attempts \(attempts), lengths \(lengths)")
        }
      }
    }
  }

  @Test func whatIsNotLiveOrNotTypedIsLeftOut() {
    let security = CodeSecurity(liveCodes: [0: 1000, 8: 0, 9: 3], attemptsPerDay: 10_000)
    #expect(security.liveCodes == [9: 3])
    #expect(security.liveTotal == 3)
  }

  @Test func theTotalStopsInsteadOfTrapping() {
    #expect(CodeSecurity(liveCodes: [8: .max, 9: .max], attemptsPerDay: 1).liveTotal == .max)
  }

  @Test func theChancePrintedIsTheBoundsOwn() {
    #expect(CodeSecurity.bound == 1.0 / 1_048_576)
    let security = CodeSecurity(liveCodes: [8: 1024, 9: 1024], attemptsPerDay: 10_000)
    #expect(security.chanceOfHitPerDay(attempts: 1024) == CodeSecurity.bound)
    #expect(security.chanceOfHitPerDay(attempts: 1025) > CodeSecurity.bound)
    #expect(CodeSecurity(liveCodes: [:], attemptsPerDay: 1).chanceOfHitPerDay(attempts: 1) == 0)
  }
}
