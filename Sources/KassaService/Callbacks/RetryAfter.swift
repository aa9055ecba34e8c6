import KassaDomain

/// The header `Retry-After` (RFC 9110, section 10.2.3).
package enum RetryAfter {
  /// Seconds from `now`, at least 0; `nil` for what is neither a number of seconds nor a date in the preferred form.
  package static func seconds(_ value: String, at now: Timestamp) -> Int64? {
    let text = value.filter { $0 != "\t" }.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
    if !text.isEmpty, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) { return Int64(text) ?? .max }
    return date(text).map { max(0, $0 - now.secondsSinceEpoch) }
  }

  /// Seconds since the epoch of an IMF-fixdate, like `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
  package static func date(_ text: String) -> Int64? {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let parts = text.split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
      let month = months.firstIndex(where: { $0 == parts[2] }), let year = Int64(parts[3]), (1970...9999).contains(year)
    else { return nil }
    let time = parts[4].split(separator: ":").map { Int64($0) ?? -1 }
    guard time.count == 3, (0...23).contains(time[0]), (0...59).contains(time[1]), (0...60).contains(time[2]) else {
      return nil
    }
    // Days since the epoch with the year begun in March, so that the leap day comes last.
    let shiftedYear = month < 2 ? year - 1 : year
    let dayOfYear = (153 * ((Int64(month) + 10) % 12) + 2) / 5 + day - 1
    let days = 365 * shiftedYear + shiftedYear / 4 - shiftedYear / 100 + shiftedYear / 400 + dayOfYear - 719_468
    return days * 86_400 + time[0] * 3600 + time[1] * 60 + time[2]
  }
}
