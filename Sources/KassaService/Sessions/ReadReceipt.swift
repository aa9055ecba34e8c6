import KassaDomain
import KassaStore

/// A paid session with what its receipt says beside.
package struct ReceiptView: Sendable {
  package let view: SessionView
  package let paid: PaymentID
  package let order: OrderView
  package let merchant: Merchant
  /// Where the device stood, if it still is a location.
  package let location: Location?
  /// Where anybody who has this address reads the receipt.
  package let url: String
}

extension KassaService {
  /// Throws `notFound` until the session is FINALIZED.
  package func receipt(of id: SessionID, as actor: CollectingActor) async throws -> ReceiptView {
    try await receipt(try await session(id, as: actor))
  }

  /// The receipt that a customer was given the address of. Throws `notFound` for a token that this server did not make:
  /// 128 of its bits are a keyed hash, so that knowing one receipt tells nothing of another.
  package func receipt(token: String) async throws -> ReceiptView {
    guard let given = bytes(base64URL: token), given.count == 48,
      let merchant = MerchantID(bytes: Array(given[..<16])), let id = SessionID(bytes: Array(given[16..<32])),
      sameBytesInConstantTime(Array(given[32...]), receiptProof(of: id, merchant: merchant))
    else { throw ServiceFailure.notFound }
    let view = try await store.read { transaction -> SessionView in
      guard let session = try transaction.sessions.find(id, of: merchant) else { throw ServiceFailure.notFound }
      return SessionView(
        session: session, payments: try transaction.payments.all(of: id, merchant: merchant),
        history: try transaction.events.history(of: id.of(EventSubject.self), merchant: merchant).map(\.event))
    }
    return try await receipt(view)
  }

  private func receipt(_ view: SessionView) async throws -> ReceiptView {
    let session = view.session
    guard case .finalized(let paid, let id) = session.state else { throw ServiceFailure.notFound }
    return try await store.read { transaction in
      guard let merchant = try transaction.merchants.find(session.merchantID),
        let order = try transaction.orders.find(id, of: merchant.id)
      else { throw ServiceFailure.notFound }
      let location = try session.locationID.flatMap { try transaction.locations.find($0, of: merchant.id) }
      let token = merchant.id.bytes + session.id.bytes + receiptProof(of: session.id, merchant: merchant.id)
      return ReceiptView(
        view: view, paid: paid, order: try self.view(of: order, in: transaction), merchant: merchant,
        location: location,
        url: "\(settings.publicURL())/receipt/\(base64URL(token))")
    }
  }

  private func receiptProof(of id: SessionID, merchant: MerchantID) -> [UInt8] {
    Array(secrets.lookUpHash([merchant.description, id.description], .receipt).prefix(16))
  }
}
