import KassaDomain
import KassaStore

/// What the playground lets a backend do in a customer's place.
package protocol CardSimulator: Sendable {
  /// A card is held to the reader. Returns `false` when the reader does not wait for one.
  func tap(_ payment: PaymentID, _ outcome: SimulatedOutcome) async throws -> Bool
}

extension KassaService {
  /// A customer taps a card on the session's device (contract, section 9): chooses the card if no method was chosen,
  /// taps, and settles. Throws `sessionOver` or `sessionFinalized` for a session that is over.
  package func simulateTap(
    _ id: SessionID, _ outcome: SimulatedOutcome, by simulator: any CardSimulator, as actor: CollectingActor
  ) async throws -> CollectionView {
    let session = try await session(id, as: actor).session
    let payment: PaymentID
    switch session.state {
    case .created, .active(nil): payment = try await startPayment(.card, of: id, as: actor).payment.id
    case .active(.some(let attempt)): payment = attempt.payment
    case .finalized: throw ServiceFailure.sessionFinalized
    case .cancelled, .expired, .failed: throw ServiceFailure.sessionOver
    }
    guard try await simulator.tap(payment, outcome) else { throw ServiceFailure.paymentInProgress }
    return try await settlePayment(payment, of: id, as: actor)
  }

  /// Applies an answer that a provider tells a second time.
  package func hearAgain(_ answer: ProviderAnswer, _ charge: Charge) async {
    _ = try? await apply(answer, to: charge.paymentID, of: charge.merchantID)
  }

  /// Makes an enrollment and registers a simulated device with it at once (contract, section 9).
  package func createSimulatedDevice(
    name: String, metadata: Metadata, locationID: LocationID?, as principal: MerchantPrincipal
  ) async throws -> RegisteredDevice {
    let enrollment = try await createEnrollment(
      CreateEnrollment(
        metadata: metadata.setting("simulated", to: "true"),
        lifeMilliseconds: Limits.enrollmentLifeDefaultMilliseconds, locationID: locationID), as: principal)
    guard case .fresh(let created) = enrollment, let token = created.url?.split(separator: "#").last else {
      throw ServiceFailure.enrollmentCodeInvalid
    }
    return try await registerDevice(
      RegisterDevice(
        proof: .token(String(token)), hardwareID: "simulated-\(created.enrollment.id)", platform: .terminal, name: name,
        registrationID: nil, keyThumbprint: nil, source: "simulated", requestID: principal.requestID))
  }
}
