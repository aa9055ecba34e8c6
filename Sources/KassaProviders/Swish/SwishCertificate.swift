import KassaDomain
import KassaService
import NIOSSL

/// When the certificate that a merchant shows to Swish ends, and how that is told.
struct SwishCertificate: Sendable {
  /// When the first of the chain ends that does.
  let endsAt: Timestamp

  /// `nil` for an empty chain.
  init?(chain: [NIOSSLCertificate]) {
    guard let seconds = chain.map(\.notValidAfter).min() else { return nil }
    endsAt = Timestamp(millisecondsSinceEpoch: Int64(seconds) * 1000)
  }

  /// Days before its end at which a merchant is told.
  static let warningDays: [Int64] = [60, 30, 7]

  /// Whole days until its end, rounded down; negative afterwards.
  func daysLeft(at now: Timestamp) -> Int64 {
    let seconds = endsAt.secondsSinceEpoch - now.secondsSinceEpoch
    return seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
  }

  func finding(at now: Timestamp) -> ProviderFinding {
    let days = daysLeft(at: now)
    let renew = "make a new one in portal.swish.nu and enter it here before then"
    guard now < endsAt else {
      return ProviderFinding(
        "The certificate ended at \(endsAt): no payment can be made until a new one is entered.", isSound: false)
    }
    guard let reached = Self.warningDays.last(where: { days < $0 }) else {
      return ProviderFinding("The certificate is valid until \(endsAt), \(days) days from now.", isSound: true)
    }
    let urgency =
      reached == 60 ? "in less than two months" : reached == 30 ? "in less than a month" : "in less than a week"
    return ProviderFinding("The certificate ends \(urgency), at \(endsAt): \(renew).", isSound: false)
  }
}
