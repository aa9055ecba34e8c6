import KassaDomain
import KassaStore

extension KassaService {
  /// Makes a delivered or dead delivery pending again with all its tries, and a pending one due now. It goes out under the
  /// event's own id, so a receiver may know it already.
  package func resendDelivery(
    _ id: DeliveryID, as principal: MerchantPrincipal, once: IdempotentRequest<ReadableDelivery>? = nil
  ) async throws -> Answered<ReadableDelivery> {
    let now = self.now
    let merchant = principal.merchantID
    return try await writeOnce(once, for: merchant, at: now) { transaction in
      for _ in 0..<Limits.resendTriesMax {
        guard let found = try transaction.deliveries.find(id, of: merchant),
          try transaction.webhooks.find(found.delivery.destinationID, of: merchant) != nil
        else { throw ServiceFailure.notFound }
        var delivery = found.delivery
        delivery.apply(.resend, at: now)
        // A worker may have noted a try in this moment: then that is looked at once more.
        if try transaction.deliveries.reopen(delivery, from: found.delivery.state, at: now) {
          return try readable(LoggedDelivery(delivery: delivery, event: found.event, attempts: found.attempts))
        }
      }
      throw ServiceFailure.changedMeanwhile
    }
  }
}
