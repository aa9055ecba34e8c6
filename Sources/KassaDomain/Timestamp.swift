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
  /// Fractions are cut, not rounded, so that a written time is never in the future of the real one.
  package var textBytes: [UInt8] {
    let seconds = secondsSinceEpoch
    let days = floorDivide(seconds, 86_400)
    let secondOfDay = Int(seconds - days * 86_400)
    let (year, month, day) = civilDate(daysSinceEpoch: days)
    var result = [UInt8]()
    result.reserveCapacity(20)
    func append(_ value: Int, digits: Int, then separator: Character?) {
      var divisor = 1
      for _ in 1..<digits { divisor *= 10 }
      while divisor > 0 {
        result.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: (value / divisor) % 10))
        divisor /= 10
      }
      if let separator, let byte = separator.asciiValue { result.append(byte) }
    }
    append(year, digits: 4, then: "-")
    append(month, digits: 2, then: "-")
    append(day, digits: 2, then: "T")
    append(secondOfDay / 3600, digits: 2, then: ":")
    append(secondOfDay / 60 % 60, digits: 2, then: ":")
    append(secondOfDay % 60, digits: 2, then: "Z")
    return result
  }
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
