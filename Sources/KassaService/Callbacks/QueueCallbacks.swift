import KassaDomain
import KassaStore

extension KassaService {
  /// Queues a delivery of the event for each of the merchant's enabled destinations that wants it. For what stays inside
  /// it costs nothing, and for a merchant without destinations one look-up.
  func queueCallbacks(of event: Event, in transaction: any WriteTransaction) throws {
    guard let type = event.type.callbackType else { return }
    for (id, subscription) in try transaction.webhooks.enabled(of: event.merchantID) {
      let isMeant =
        event.type == .webhookTest ? id.of(EventSubject.self) == event.subjectID : subscription.includes(type)
      guard isMeant else { continue }
      try transaction.deliveries.insert(
        CallbackDelivery(
          id: secrets.deliveryID(of: event, to: id), merchantID: event.merchantID, destinationID: id,
          subjectID: event.subjectID, sequence: event.sequence, createdAt: event.at))
    }
  }

  /// The event as merchants see it; `nil` when it stays inside.
  func envelope(of event: Event) -> CallbackEnvelope? {
    CallbackEnvelope(event, id: secrets.callbackEventID(of: event))
  }
}

extension ServerSecrets {
  /// The event's id in callbacks and in the pull feed: the same for ever, without a column that says so, and without
  /// telling anything of the event.
  func callbackEventID(of event: Event) -> CallbackEventID {
    let hash = lookUpHash(
      [event.merchantID.description, event.subjectID.description, "\(event.sequence)"], .callbackEvent)
    func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
    return CallbackEventID(high: word(hash[0..<8]), low: word(hash[8..<16]))
  }

  /// An identifier for the event's delivery to a destination, in the shape of a version 4 UUID. Derived, because a write
  /// body may run twice and does not know beforehand how many it needs.
  func deliveryID(of event: Event, to destination: WebhookID) -> DeliveryID {
    let hash = lookUpHash(
      [destination.description, event.subjectID.description, "\(event.sequence)"], .callbackDelivery)
    var bits = FixedBits(
      words: stride(from: 0, to: 16, by: 8).map { hash[$0..<$0 + 8].reduce(0) { $0 << 8 | UInt64($1) } })
    return DeliveryID(using: &bits)
  }

  /// Gives prepared words in place of random ones.
  private struct FixedBits: RandomNumberGenerator {
    var words: [UInt64]

    mutating func next() -> UInt64 { words.removeFirst() }
  }
}
