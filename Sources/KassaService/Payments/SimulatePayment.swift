import KassaDomain
import KassaStore

/// A provider whose cards can be tapped by a call, in the customer's place.
package protocol CardSimulator: PaymentProvider {
  /// A card is held to the reader. Returns `false` when the reader does not wait for one.
  func tap(_ charge: Charge, _ outcome: SimulatedOutcome) async throws -> Bool
}

extension KassaService {
  /// A customer taps a card on the session's device (contract, section 9): chooses the card if no method was chosen,
  /// taps, and settles. Throws `sessionOver` or `sessionFinalized` for a session that is over, `paymentInProgress` when
  /// no reader waits for a card, and `methodUnavailable` when cards cannot be simulated.
  package func simulateTap(
    _ id: SessionID, _ outcome: SimulatedOutcome, as actor: CollectingActor
  ) async throws -> CollectionView {
    let payment = try await simulatedAttempt(.card, of: id, as: actor)
    guard payment.method == .card else { throw ServiceFailure.paymentInProgress }
    guard let simulator = try await provider(of: payment) as? any CardSimulator else {
      throw ServiceFailure.methodUnavailable
    }
    guard try await simulator.tap(try await charge(of: payment), outcome) else {
      throw ServiceFailure.paymentInProgress
    }
    return try await settlePayment(payment.id, of: id, as: actor)
  }

  /// Applies an answer that a provider tells a second time.
  package func hearAgain(_ report: ProviderReport, _ charge: Charge) async {
    _ = try? await apply(report, to: charge.paymentID, of: charge.merchantID)
  }

  /// Makes an enrollment and registers a simulated device with it at once (contract, section 9). Each of the two is done
  /// once per idempotency key, so that a repetition goes on where the first request came to.
  package func createSimulatedDevice(
    name: String, metadata: Metadata, locationID: LocationID?, as principal: MerchantPrincipal,
    once: IdempotentRequest<RegisteredDevice>? = nil
  ) async throws -> Answered<RegisteredDevice> {
    let simulated = metadata.setting("simulated", to: "true")
    guard simulated.pairs.count <= Metadata.pairsMax else {
      throw ServiceFailure.invalid([
        FieldFlaw("metadata", "must have at most \(Metadata.pairsMax - 1) pairs, because \"simulated\" is added")
      ])
    }
    let enrollment = try await createEnrollment(
      CreateEnrollment(
        metadata: simulated,
        lifeMilliseconds: Limits.enrollmentLifeDefaultMilliseconds, locationID: locationID), as: principal,
      once: once.map { once in
        IdempotentRequest(operation: "enrollment of \(once.operation)", key: once.key, bodyHash: once.bodyHash) {
          RenderedAnswer(status: 201, body: Array(Self.idAndToken($0).utf8))
        }
      })
    let made =
      switch enrollment {
      case .fresh(let created): Self.idAndToken(created)
      case .replayed(let answer): String(decoding: answer.body, as: UTF8.self)
      }
    let parts = made.split(separator: " ").map(String.init)
    guard parts.count == 2 else { throw ServiceFailure.enrollmentCodeInvalid }
    return try await registerDevice(
      RegisterDevice(
        proof: .token(parts[1]), hardwareID: "simulated-\(parts[0])", platform: .terminal, name: name,
        registrationID: nil, keyThumbprint: nil, source: "simulated", requestID: principal.requestID),
      as: principal, once: once)
  }

  private static func idAndToken(_ readable: ReadableEnrollment) -> String {
    "\(readable.enrollment.id) \(readable.url?.split(separator: "#").last ?? "")"
  }
}
