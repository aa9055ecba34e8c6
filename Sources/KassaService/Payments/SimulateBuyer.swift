import KassaDomain
import KassaStore

/// What a buyer who scanned a code may do.
package enum BuyerAct: String, CaseIterable, Sendable {
  /// Opens it and looks.
  case open
  /// Pays.
  case approve
  /// Says no.
  case refuse
  /// Wants to pay, and the provider will not: no funds.
  case fail
  /// Does nothing until the provider stops waiting.
  case letExpire
}

/// What stands in for the buyers of a provider, in a playground.
package protocol BuyerSimulator: Sendable {
  /// The buyer of a charge does something. Returns `false` when the provider does not wait for that.
  func buyer(_ act: BuyerAct, of charge: Charge) async -> Bool
}

/// The outcome of a scan in the playground.
package enum SimulatedScan: String, CaseIterable, Sendable {
  case success = "SUCCESS"
  case declined = "DECLINED"
  case cancelledByBuyer = "CANCELLED_BY_BUYER"
  case timedOut = "TIMED_OUT"

  var acts: [BuyerAct] {
    switch self {
    case .success: [.open, .approve]
    case .declined: [.open, .fail]
    case .cancelledByBuyer: [.open, .refuse]
    case .timedOut: [.letExpire]
    }
  }
}

/// An attempt as its buyer sees it.
package struct BuyerView: Sendable {
  package let payment: Payment
  package let merchantName: String
  package let locationName: String?
}

extension KassaService {
  /// A customer scans the code on the session's device: chooses the method if none was chosen, does what `scan` says,
  /// and settles. `method` may be left out when an attempt is under way. Throws `sessionOver` or `sessionFinalized` for a
  /// session that is over, `paymentInProgress` when no code waits to be scanned, and `methodUnavailable` when nobody
  /// stands in for the buyers of the method.
  package func simulateScan(
    _ id: SessionID, _ method: PaymentMethod?, _ scan: SimulatedScan, as actor: CollectingActor
  ) async throws -> CollectionView {
    let payment = try await simulatedAttempt(method, of: id, as: actor)
    guard method == nil || method == payment.method, payment.method != .card else {
      throw ServiceFailure.paymentInProgress
    }
    for act in scan.acts {
      guard try await perform(act, of: payment) else { throw ServiceFailure.paymentInProgress }
    }
    return try await settlePayment(payment.id, of: id, as: actor)
  }

  /// The attempt under way, or a new one by `method`.
  func simulatedAttempt(
    _ method: PaymentMethod?, of id: SessionID, as actor: CollectingActor
  ) async throws -> Payment {
    let view = try await session(id, as: actor)
    switch view.session.state {
    case .created, .active(nil):
      guard let method else {
        throw ServiceFailure.invalid([FieldFlaw("method", "is required: no attempt is under way")])
      }
      return try await startPayment(method, of: id, as: actor).payment
    case .active(.some(let attempt)):
      guard let payment = view.payments.first(where: { $0.id == attempt.payment }) else {
        throw ServiceFailure.noPaymentUnderWay
      }
      return payment
    case .finalized: throw ServiceFailure.sessionFinalized
    case .cancelled, .expired, .failed: throw ServiceFailure.sessionOver
    }
  }

  /// Throws `notFound` for an attempt that nobody makes, and for one by card. Of whichever merchant: the buyer has the
  /// code and nothing else.
  package func buyerView(of id: PaymentID) async throws -> BuyerView {
    try await store.read { transaction in
      for merchant in try transaction.merchants.all() {
        guard let payment = try transaction.payments.find(id, of: merchant.id), payment.method != .card,
          let session = try transaction.sessions.find(payment.sessionID, of: merchant.id)
        else { continue }
        let location = try session.locationID.flatMap { try transaction.locations.find($0, of: merchant.id) }
        return BuyerView(payment: payment, merchantName: merchant.name, locationName: location?.details.name)
      }
      throw ServiceFailure.notFound
    }
  }

  /// The buyer does something, and the provider is asked what came of it. Throws `paymentInProgress` when the provider
  /// does not wait for that.
  package func act(_ act: BuyerAct, of id: PaymentID) async throws -> BuyerView {
    let payment = try await buyerView(of: id).payment
    guard try await perform(act, of: payment) else { throw ServiceFailure.noPaymentUnderWay }
    _ = try await ask(payment) { await $0.query($1) }
    return try await buyerView(of: id)
  }

  private func perform(_ act: BuyerAct, of payment: Payment) async throws -> Bool {
    guard let buyer = buyers[payment.method] else { throw ServiceFailure.methodUnavailable }
    return await buyer.buyer(act, of: try await charge(of: payment))
  }
}
