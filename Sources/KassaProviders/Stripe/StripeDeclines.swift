import KassaDomain
import KassaStore

/// Why a card was declined, in our words; and the cards of Stripe's test mode that are.
enum StripeDeclines {
  /// From an error's `decline_code` and `code`, the first that is known.
  static func reason(declineCode: String?, code: String?) -> PaymentFailureReason {
    for word in [declineCode, code] {
      switch word {
      case "insufficient_funds": return .insufficientFunds
      case "lost_card": return .lostCard
      case "stolen_card": return .stolenCard
      case "expired_card": return .expiredCard
      case "incorrect_cvc", "invalid_cvc": return .incorrectCVC
      case "incorrect_number", "invalid_number": return .incorrectNumber
      case "processing_error", "issuer_not_available", "try_again_later", "reenter_transaction": return .processingError
      case "card_velocity_exceeded", "withdrawal_count_limit_exceeded": return .cardVelocityExceeded
      case "customer_canceled": return .cancelled
      default: continue
      }
    }
    return .declinedGeneric
  }

  /// From the `failure_code` of a reader's action that failed without a card having been declined.
  static func reason(readerFailure code: String?) -> PaymentFailureReason {
    switch code {
    case "customer_canceled", "canceled": .cancelled
    case "reader_timeout", "connection_error", "terminal_reader_timeout": .timedOut
    default: reason(declineCode: nil, code: code)
    }
  }

  /// The number of the test card that ends so. Those of wrong check digits, wrong numbers and too many uses are in
  /// Stripe's list for cards on the web only.
  static func cardNumber(for outcome: SimulatedOutcome) -> String {
    switch outcome {
    case .success: return "4242424242424242"
    case .declined(let reason):
      switch reason {
      case .insufficientFunds: return "4000000000009995"
      case .lostCard: return "4000000000009987"
      case .stolenCard: return "4000000000009979"
      case .expiredCard: return "4000000000000069"
      case .processingError: return "4000000000000119"
      case .incorrectCVC: return "4000000000000127"
      case .incorrectNumber: return "4242424242424241"
      case .cardVelocityExceeded: return "4000000000006975"
      case .declinedGeneric, .timedOut, .notStarted, .cancelled: return "4000000000000002"
      }
    }
  }
}
