import KassaDomain

/// Deleted destinations are invisible to every method here.
package protocol WebhookReads {
  func find(_ id: WebhookID, of merchant: MerchantID) throws -> WebhookDestination?
  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<WebhookDestination>
}

/// A destination found inside a write body stays as it is until that body's commit.
package protocol WebhookTable: WebhookReads {
  func insert(_ destination: WebhookDestination) throws
  func count(of merchant: MerchantID) throws -> Int
  /// What the merchant's enabled destinations subscribe to: one look-up in an index, whose cost does not grow with
  /// other merchants, and which finds nothing for most.
  func enabled(of merchant: MerchantID) throws -> [(id: WebhookID, subscription: WebhookSubscription)]
  /// Saves `destination` if the stored version is the one before. What waits for a destination that was switched on
  /// becomes due. Returns whether it was.
  func update(_ destination: WebhookDestination) throws -> Bool
  /// Takes the destination out of use and erases its secrets, if the stored version is the one before. Its deliveries
  /// are removed later, by `DeliveryTable.forget`.
  func delete(_ destination: WebhookDestination, at now: Timestamp) throws -> Bool
}
