import KassaDomain
import KassaStore

/// Something about an attempt that those who run Kassa should hear of; told after the commit that made it so, and not kept:
/// what is kept is the attempt's state.
package struct PaymentNotice: Sendable {
  /// As the commit left it. `checks` says how often it was asked about without a definite answer before.
  package let payment: Payment
  package let what: What

  package enum What: Sendable {
    /// It reached this outcome.
    case outcome
    /// Its provider was asked, and nobody knows; the words are the provider's, or say that there was no answer.
    case unknown(OperatorDetail)
    /// What was not known is known now.
    case settled
    /// A day without an answer: the session was ended. The attempt is asked about on and on.
    case givenUp
    /// It was denied, and asking once more to be sure of it gave no answer.
    case unverified(OperatorDetail)
    /// Money came that nobody waited for any more; it is given back.
    case lateMoney
    case givenBack
    /// The provider has taken the giving back on.
    case givingBack
    /// It was given back, and came back: it is given back again, and somebody must look at it.
    case cameBack(OperatorDetail)
    /// The provider will not give it back: somebody must look at it. Asked again, less and less often.
    case reversalRefused(OperatorDetail)
    case reversalUnknown(OperatorDetail)
  }
}

/// Attempts that wait for their providers, of the whole deployment.
package struct UnsettledReport: Sendable {
  /// Nobody knows yet whether money moved.
  package let unknown: UnsettledPayments
  /// Money that came too late, and is not given back yet.
  package let reversing: UnsettledPayments
}

extension KassaService {
  package func unsettledPayments() async throws -> UnsettledReport {
    try await store.read { transaction in
      UnsettledReport(
        unknown: try transaction.payments.unsettled(.unknown), reversing: try transaction.payments.unsettled(.reversing)
      )
    }
  }
}
