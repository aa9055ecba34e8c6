import KassaDomain
import Testing

struct TimestampTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"),
      (1_705_318_200_000, "2024-01-15T11:30:00Z"),
      (951_782_399_000, "2000-02-28T23:59:59Z"),
      (951_782_400_000, "2000-02-29T00:00:00Z"),
      (951_868_800_000, "2000-03-01T00:00:00Z"),
      (1_709_164_800_000, "2024-02-29T00:00:00Z"),
      (1_709_251_200_000, "2024-03-01T00:00:00Z"),
      (1_677_628_799_000, "2023-02-28T23:59:59Z"),
      (1_677_628_800_000, "2023-03-01T00:00:00Z"),
      (1_735_603_200_000, "2024-12-31T00:00:00Z"),
      (1_735_689_599_000, "2024-12-31T23:59:59Z"),
      (1_735_689_600_000, "2025-01-01T00:00:00Z"),
      (-1000, "1969-12-31T23:59:59Z"),
      (-86_400_000, "1969-12-31T00:00:00Z"),
      (-86_401_000, "1969-12-30T23:59:59Z"),
      (4_107_542_399_000, "2100-02-28T23:59:59Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00Z"),
      (2_147_483_648_000, "2038-01-19T03:14:08Z"),
      (-2_208_988_800_000, "1900-01-01T00:00:00Z"),
      (253_402_300_799_000, "9999-12-31T23:59:59Z"),
    ] as [(Int64, String)])
  func isWrittenInUTCWithWholeSeconds(milliseconds: Int64, text: String) {
    let timestamp = Timestamp(millisecondsSinceEpoch: milliseconds)
    #expect(timestamp.description == text)
    #expect(timestamp.textBytes == Array(text.utf8))
  }

  /// A calendar counted up day by day, from a rule that shares nothing with the arithmetic under test.
  @Test func everyDayFrom1960To2110HasItsDate() {
    var (year, month, day) = (1960, 1, 1)
    func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    for days in -3653..<51_134 {
      let midnight = Timestamp(millisecondsSinceEpoch: Int64(days) * 86_400_000)
      #expect(midnight.description == "\(year)-\(two(month))-\(two(day))T00:00:00Z")
      let lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      day += 1
      if day > lengths[month - 1] { (month, day) = (month + 1, 1) }
      if month > 12 { (year, month) = (year + 1, 1) }
    }
    #expect((year, month, day) == (2110, 1, 1))
  }

  @Test(
    arguments: [
      (1, "1970-01-01T00:00:00Z", 0), (999, "1970-01-01T00:00:00Z", 0), (1000, "1970-01-01T00:00:01Z", 1),
      (-1, "1969-12-31T23:59:59Z", -1), (-999, "1969-12-31T23:59:59Z", -1), (-1001, "1969-12-31T23:59:58Z", -2),
      (1_709_251_199_999, "2024-02-29T23:59:59Z", 1_709_251_199),
    ] as [(Int64, String, Int64)])
  func fractionsAreCutDownward(milliseconds: Int64, text: String, seconds: Int64) {
    let timestamp = Timestamp(millisecondsSinceEpoch: milliseconds)
    #expect(timestamp.description == text)
    #expect(timestamp.secondsSinceEpoch == seconds)
  }

  @Test func addingStopsAtTheEnds() {
    let zero = Timestamp(millisecondsSinceEpoch: 0)
    let (first, last) = (Timestamp(millisecondsSinceEpoch: .min), Timestamp(millisecondsSinceEpoch: .max))
    #expect(zero.adding(seconds: 90).millisecondsSinceEpoch == 90_000)
    #expect(zero.adding(milliseconds: -1).millisecondsSinceEpoch == -1)
    #expect(last.adding(milliseconds: 1) == last)
    #expect(first.adding(milliseconds: -1) == first)
    #expect(last.adding(milliseconds: -1).millisecondsSinceEpoch == .max - 1)
    #expect(zero.adding(seconds: .max) == last)
    #expect(zero.adding(seconds: .min) == first)
  }

  @Test func orderIsThatOfTime() {
    #expect(Timestamp(millisecondsSinceEpoch: -1) < Timestamp(millisecondsSinceEpoch: 0))
    #expect(!(Timestamp(millisecondsSinceEpoch: 1) < Timestamp(millisecondsSinceEpoch: 1)))
  }
}
