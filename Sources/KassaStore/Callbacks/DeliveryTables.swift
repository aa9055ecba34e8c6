import KassaDomain

/// A delivery with its event and its log.
package struct LoggedDelivery: Equatable, Sendable {
  package let delivery: CallbackDelivery
  package let event: Event
  /// The newest last; those older than the log is kept are gone.
  package let attempts: [CallbackAttempt]

  package init(delivery: CallbackDelivery, event: Event, attempts: [CallbackAttempt]) {
    self.delivery = delivery
    self.event = event
    self.attempts = attempts
  }
}

/// The permission to try the head of a chain, until `until`. Nobody else gets the chain before.
package struct DeliveryLease: Equatable, Sendable {
  /// 16 random bytes, of one claim.
  package let token: [UInt8]
  package let until: Timestamp

  package init(token: [UInt8], until: Timestamp) {
    self.token = token
    self.until = until
  }
}

/// What a claim gives: the first pending delivery of a chain, what it tells, and where to.
package struct ClaimedDelivery: Equatable, Sendable {
  package let delivery: CallbackDelivery
  package let event: Event
  package let destination: WebhookDestination

  package init(delivery: CallbackDelivery, event: Event, destination: WebhookDestination) {
    self.delivery = delivery
    self.event = event
    self.destination = destination
  }
}

package protocol DeliveryReads {
  func find(_ id: DeliveryID, of merchant: MerchantID) throws -> LoggedDelivery?
  /// The deliveries to one destination, newest first, in one state or in any.
  func page(
    of merchant: MerchantID, to destination: WebhookID, state: CallbackDelivery.StateName?, _ page: PageRequest
  ) throws -> Page<LoggedDelivery>
  /// Whether `claim` may find something at `now`. May say yes too often, never no too often.
  func mayHaveDue(at now: Timestamp) throws -> Bool
  /// Pending deliveries of the whole deployment.
  func pendingTotal() throws -> Int64
}

package protocol DeliveryTable: DeliveryReads {
  /// Adds a pending delivery to its chain. Its event is appended in the same body.
  func insert(_ delivery: CallbackDelivery) throws
  /// Leases up to `limit` chains whose head is due at `now` and that nobody holds, and gives their heads. A lease that
  /// ended counts as given back.
  ///
  /// Fair: destinations are served in turn, an equal share each, and of one destination no more than
  /// `perDestinationMax` chains are out at a time. Disabled destinations are passed over. The cost does not grow with
  /// what waits for a destination that is at its limit.
  func claim(
    _ lease: DeliveryLease, limit: Int, perDestinationMax: Int, at now: Timestamp
  ) throws -> [ClaimedDelivery]
  /// Saves the state that a claimed `delivery` was moved to, logs the attempt, gives the lease back, and lets the
  /// chain's next delivery follow. Returns `false`, and writes nothing, when the lease is no longer held: it ran out and
  /// somebody else has the chain.
  func finish(
    _ delivery: CallbackDelivery, attempt: CallbackAttempt, leaseToken: [UInt8], at now: Timestamp
  ) throws -> Bool
  /// Gives back a lease without a try. Does nothing when it is no longer held.
  func release(_ delivery: CallbackDelivery, leaseToken: [UInt8], at now: Timestamp) throws
  /// Saves a delivery that was sent again, pending now, if it is still in state `expected`. Returns whether it was.
  func reopen(_ delivery: CallbackDelivery, from expected: CallbackDelivery.State, at now: Timestamp) throws -> Bool
  /// Deletes deliveries that were finished and attempts that were made before `before`, and what is left of deleted
  /// destinations, up to `limit` rows of each. Returns how many rows.
  func forget(before: Timestamp, limit: Int) throws -> Int
}
