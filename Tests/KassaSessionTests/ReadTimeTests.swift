import KassaDomain
import Testing

/// `Timestamp(rfc3339:)`: the times of a purchase, as backends write them.
@Suite struct ReadTimeTests {
  @Test(
    arguments: [
      ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00Z", 0),
      ("2024-01-15t10:30:00z", "2024-01-15T10:30:00Z", 0),
      ("2024-01-15 10:30:00Z", "2024-01-15T10:30:00Z", 0),
      ("2024-01-15T10:30:00+02:00", "2024-01-15T08:30:00Z", 0),
      ("2024-01-15T10:30:00-00:00", "2024-01-15T10:30:00Z", 0),
      ("2024-01-15T10:30:00+05:45", "2024-01-15T04:45:00Z", 0),
      ("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00Z", 0),
      ("2024-12-31T23:30:00-01:00", "2025-01-01T00:30:00Z", 0),
      ("2024-01-15T10:30:00.5Z", "2024-01-15T10:30:00Z", 500),
      ("2024-01-15T10:30:00.123456789Z", "2024-01-15T10:30:00Z", 123),
      ("2024-01-15T10:30:00.9999Z", "2024-01-15T10:30:00Z", 999),
      ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", 0),
      ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", 0),
      ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", 0),
      ("2016-12-31T15:59:60-08:00", "2017-01-01T00:00:00Z", 0),
      ("1969-12-31T23:59:59.001Z", "1969-12-31T23:59:59Z", 1),
      ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", 0),
      ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z", 999),
    ])
  func isRead(text: String, written: String, milliseconds: Int64) throws {
    let time = try #require(Timestamp(rfc3339: text))
    #expect(time.description == written)
    #expect(time.millisecondsSinceEpoch - time.secondsSinceEpoch * 1000 == milliseconds)
    // What is written reads as the same second.
    #expect(Timestamp(rfc3339: written)?.secondsSinceEpoch == time.secondsSinceEpoch)
  }

  @Test(
    arguments: [
      "", "2024-01-15", "2024-01-15T10:30Z", "2024-01-15T10:30:00", "2024-01-15T10:30:00+0200",
      "2024-01-15T10:30:00+02",
      "2024-1-15T10:30:00Z", "24-01-15T10:30:00Z", "02024-01-15T10:30:00Z", "+2024-01-15T10:30:00Z",
      "-2024-01-15T10:30:00Z", "2024-00-15T10:30:00Z", "2024-13-15T10:30:00Z", "2024-01-00T10:30:00Z",
      "2024-01-32T10:30:00Z", "2023-02-29T10:30:00Z", "1900-02-29T10:30:00Z", "2024-04-31T10:30:00Z",
      "2024-01-15T24:00:00Z", "2024-01-15T10:60:00Z", "2024-01-15T10:30:61Z", "2024-01-15T10:30:60Z",
      "2024-01-15T10:30:00.Z", "2024-01-15T10:30:00,5Z", "2024-01-15T10:30:00ZZ", "2024-01-15T10:30:00Z ",
      " 2024-01-15T10:30:00Z", "2024-01-15T10:30:00+24:00", "2024-01-15T10:30:00+00:60", "2024-01-15T10:30:00 Z",
      "２０24-01-15T10:30:00Z", "2024-01-15T10:30:00−01:00", "1705314600",
      // In UTC these are in years that cannot be written.
      "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:60Z",
    ])
  func isRefused(text: String) {
    #expect(Timestamp(rfc3339: text) == nil)
  }

  @Test func everyMomentCanBeWritten() {
    for milliseconds in [.min, -62_167_219_200_001, 253_402_300_800_000, .max] as [Int64] {
      let text = Timestamp(millisecondsSinceEpoch: milliseconds).description
      #expect(text == (milliseconds < 0 ? "0000-01-01T00:00:00Z" : "9999-12-31T23:59:59Z"))
    }
  }

  /// Each day of eight centuries, written and read.
  @Test func everyDayIsReadAsItWasWritten() {
    for day in stride(from: Int64(-150_000), through: 150_000, by: 1) {
      let time = Timestamp(millisecondsSinceEpoch: day * 86_400_000 + 43_200_000)
      guard Timestamp(rfc3339: time.description) == time else {
        Issue.record("\(time)")
        return
      }
    }
  }
}
