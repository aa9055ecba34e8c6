import KassaDomain
import KassaStore

/// The rules of the simulated card network for one charge, as a pure value.
struct CardLedger: Hashable, Sendable {
  enum State: UInt8, CaseIterable, Sendable {
    /// Never heard of.
    case absent
    case primed, tappedToPay, tappedToDecline
    case charged, declined, voided, refunded

    /// The reader waits: money may still move.
    var isOpen: Bool { self == .primed || self == .tappedToPay || self == .tappedToDecline }
  }

  enum Operation: UInt8, CaseIterable, Sendable {
    case start, settle, cancel, query, refund
  }

  enum Reply: UInt8, CaseIterable, Sendable {
    case pending, paid, notPaid, refunded, refundRefused

    /// As an answer to an attempt; `nil` for those of a refund.
    var answer: ProviderAnswer? {
      switch self {
      case .pending: .pending
      case .paid: .paid(nil)
      case .notPaid: .notPaid(.declinedGeneric)
      case .refunded, .refundRefused: nil
      }
    }
  }

  var state = State.absent
  /// A cancellation of a charge never heard of is remembered, so that a start which comes later finds it. Off: the
  /// network forgets it, as a control.
  var isCancellationRemembered = true

  mutating func take(_ operation: Operation) -> Reply {
    switch operation {
    case .start:
      if state == .absent { state = .primed }
    case .settle:
      if state == .tappedToPay { state = .charged }
      if state == .tappedToDecline { state = .declined }
    case .cancel:
      if state.isOpen || (state == .absent && isCancellationRemembered) { state = .voided }
    case .query: break
    case .refund:
      guard state == .charged || state == .refunded else { return .refundRefused }
      state = .refunded
      return .refunded
    }
    switch state {
    case .primed, .tappedToPay, .tappedToDecline: return .pending
    case .charged: return .paid
    case .absent, .declined, .voided, .refunded: return .notPaid
    }
  }

  /// A card is held to the reader.
  mutating func tap(pays: Bool) -> Bool {
    guard state.isOpen else { return false }
    state = pays ? .tappedToPay : .tappedToDecline
    return true
  }
}
