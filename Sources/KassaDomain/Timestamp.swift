/// A moment in UTC, counted in whole milliseconds since 1970-01-01T00:00:00Z.
package struct Timestamp: Hashable, Comparable, Sendable {
  package let millisecondsSinceEpoch: Int64

  package init(millisecondsSinceEpoch: Int64) {
    self.millisecondsSinceEpoch = millisecondsSinceEpoch
  }

  package static func < (left: Self, right: Self) -> Bool {
    left.millisecondsSinceEpoch < right.millisecondsSinceEpoch
  }

  /// The moment `milliseconds` later (earlier when negative); stops at the ends of the range instead of wrapping.
  package func adding(milliseconds: Int64) -> Timestamp {
    let (sum, overflow) = millisecondsSinceEpoch.addingReportingOverflow(milliseconds)
    return Timestamp(millisecondsSinceEpoch: overflow ? (milliseconds < 0 ? .min : .max) : sum)
  }

  package func adding(seconds: Int64) -> Timestamp {
    let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1000)
    return adding(milliseconds: overflow ? (seconds < 0 ? .min : .max) : milliseconds)
  }

  /// Whole seconds since the epoch, rounded down.
  package var secondsSinceEpoch: Int64 { floorDivide(millisecondsSinceEpoch, 1000) }

  /// RFC 3339 in UTC with `Z` and whole seconds, as the contract's samples write it: 20 ASCII bytes.
  ///
  /// Fractions are cut, not rounded, so that a written time is never in the future of the real one. A moment outside the
  /// four-digit years is written as the nearest one inside.
  package var textBytes: [UInt8] { withTextBytes { Array($0) } }

  /// The same in memory that lasts as long as the call.
  package func withTextBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) throws -> Result) rethrows -> Result {
    let seconds = min(max(secondsSinceEpoch, Self.writableSeconds.lowerBound), Self.writableSeconds.upperBound)
    let days = floorDivide(seconds, 86_400)
    let secondOfDay = Int(seconds - days * 86_400)
    let (year, month, day) = civilDate(daysSinceEpoch: days)
    return try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { buffer in
      var count = 0
      func append(_ twoDigits: Int) {
        buffer.initializeElement(at: count, to: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: twoDigits / 10))
        buffer.initializeElement(at: count + 1, to: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: twoDigits % 10))
        count += 2
      }
      func append(_ twoDigits: Int, then separator: Unicode.Scalar) {
        append(twoDigits)
        buffer.initializeElement(at: count, to: UInt8(ascii: separator))
        count += 1
      }
      append(year / 100)
      append(year % 100, then: "-")
      append(month, then: "-")
      append(day, then: "T")
      append(secondOfDay / 3600, then: ":")
      append(secondOfDay / 60 % 60, then: ":")
      append(secondOfDay % 60, then: "Z")
      return try body(UnsafeBufferPointer(buffer))
    }
  }
}

extension Timestamp {
  /// From 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z: what RFC 3339 can write.
  fileprivate static let writableSeconds: ClosedRange<Int64> =
    daysSinceEpoch(year: 0, month: 1, day: 1) * 86_400...daysSinceEpoch(year: 10_000, month: 1, day: 1) * 86_400 - 1
}

extension Timestamp: CustomStringConvertible {
  package var description: String { String(decoding: textBytes, as: UTF8.self) }
}

private func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
  let quotient = value / divisor
  return value % divisor < 0 ? quotient - 1 : quotient
}

/// The proleptic Gregorian date of a day count, by shifting the year's start to March so that the leap day comes last.
private func civilDate(daysSinceEpoch: Int64) -> (year: Int, month: Int, day: Int) {
  let shifted = Int(daysSinceEpoch) + 719_468
  let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
  let dayOfEra = shifted - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let shiftedMonth = (5 * dayOfYear + 2) / 153
  let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
  let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return (year, month, day)
}

extension Timestamp {
  /// Reads RFC 3339 with any offset and any fraction, of which milliseconds are kept. `nil` for anything else, for days
  /// that do not exist, for leap seconds other than one at the end of a UTC day, and for a moment that is in another year
  /// than 0000 to 9999 in UTC, which could not be written again.
  package init?(rfc3339 text: String) {
    var reader = DigitReader(bytes: Array(text.utf8))
    guard let year = reader.digits(4), reader.skip("-"), let month = reader.digits(2), reader.skip("-"),
      let day = reader.digits(2), reader.skip("T") || reader.skip("t") || reader.skip(" "),
      let hour = reader.digits(2), reader.skip(":"), let minute = reader.digits(2), reader.skip(":"),
      let second = reader.digits(2), (1...12).contains(month), hour < 24, minute < 60, second <= 60
    else { return nil }
    var milliseconds = 0
    if reader.skip(".") {
      guard let fraction = reader.fraction() else { return nil }
      milliseconds = fraction
    }
    var offsetMinutes = 0
    if !(reader.skip("Z") || reader.skip("z")) {
      let sign = reader.skip("+") ? 1 : -1
      guard sign == 1 || reader.skip("-"), let hours = reader.digits(2), reader.skip(":"),
        let minutes = reader.digits(2), hours < 24, minutes < 60
      else { return nil }
      offsetMinutes = sign * (hours * 60 + minutes)
    }
    let days = daysSinceEpoch(year: year, month: month, day: day)
    guard reader.isAtEnd, civilDate(daysSinceEpoch: days) == (year, month, day) else { return nil }
    let seconds = days * 86_400 + Int64(hour * 3600 + minute * 60 + second - offsetMinutes * 60)
    guard second < 60 || seconds % 86_400 == 0, Self.writableSeconds.contains(seconds) else { return nil }
    self.init(millisecondsSinceEpoch: seconds * 1000 + Int64(milliseconds))
  }
}

/// Reads a fixed format byte by byte.
private struct DigitReader {
  let bytes: [UInt8]
  var position = 0

  var isAtEnd: Bool { position == bytes.count }

  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  mutating func digits(_ count: Int) -> Int? {
    guard position + count <= bytes.count else { return nil }
    var value = 0
    for byte in bytes[position..<position + count] {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      value = value * 10 + Int(byte - UInt8(ascii: "0"))
    }
    position += count
    return value
  }

  /// One or more digits after the point, as whole milliseconds.
  mutating func fraction() -> Int? {
    var value = 0
    var count = 0
    while let digit = digits(1) {
      if count < 3 { value = value * 10 + digit }
      count += 1
    }
    guard count > 0 else { return nil }
    for _ in min(count, 3)..<3 { value *= 10 }
    return value
  }
}

/// The day count of a proleptic Gregorian date; the inverse of `civilDate`.
private func daysSinceEpoch(year: Int, month: Int, day: Int) -> Int64 {
  let shiftedYear = month <= 2 ? year - 1 : year
  let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
  let yearOfEra = shiftedYear - era * 400
  let shiftedMonth = month > 2 ? month - 3 : month + 9
  let dayOfYear = (153 * shiftedMonth + 2) / 5 + day - 1
  let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
  return Int64(era * 146_097 + dayOfEra - 719_468)
}
