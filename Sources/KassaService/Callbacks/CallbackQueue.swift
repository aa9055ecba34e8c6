import KassaDomain
import KassaStore

/// One try to be made: what to send, where to, and how it is signed.
package struct CallbackTry: Sendable {
  package let delivery: CallbackDelivery
  package let envelope: CallbackEnvelope
  package let url: WebhookURL
  let secrets: [WebhookSecret]
  let leaseToken: [UInt8]

  package init(
    delivery: CallbackDelivery, envelope: CallbackEnvelope, url: WebhookURL, secrets: [WebhookSecret],
    leaseToken: [UInt8] = []
  ) {
    self.delivery = delivery
    self.envelope = envelope
    self.url = url
    self.secrets = secrets
    self.leaseToken = leaseToken
  }

  /// The headers of Standard Webhooks 1.0 for `body` sent at `now`. Each secret in force signs.
  package func headers(for body: [UInt8], at now: Timestamp) -> [(name: String, value: String)] {
    let (id, timestamp) = (envelope.id.text, now.secondsSinceEpoch)
    let signatures = secrets.map { $0.signature(id: id, timestampSeconds: timestamp, body: body) }
    return [
      ("webhook-id", id), ("webhook-timestamp", "\(timestamp)"),
      ("webhook-signature", signatures.joined(separator: " ")),
    ]
  }
}

/// What came of a try, for those who watch.
package enum CallbackOutcome: Equatable, Sendable {
  case acknowledged(lagMilliseconds: Int64)
  /// Not acknowledged; tried again later.
  case failed
  /// Not acknowledged, and given up.
  case dead
  /// Somebody else had the delivery meanwhile, or its destination was deleted. Nothing was noted.
  case leaseLost
}

/// Where a worker gets its tries from and reports to.
package protocol CallbackSource: Sendable {
  /// At most `limit` tries that nobody else makes until their lease ends. One that cannot be made is left to its lease;
  /// throws when all are such.
  func claim(limit: Int) async throws -> [CallbackTry]
  func finish(
    _ callback: CallbackTry, _ attempt: CallbackAttempt, retryAfterSeconds: Int64?
  ) async throws -> CallbackOutcome
  /// Gives back a try that was not made.
  func release(_ callback: CallbackTry) async throws
}

/// The deliveries of a service, as a worker's source.
package struct CallbackQueue: CallbackSource {
  private let service: KassaService
  private let schedule: DeliverySchedule
  private let leaseMilliseconds: Int64
  private let perDestinationMax: Int

  package init(
    service: KassaService, schedule: DeliverySchedule = Limits.deliverySchedule,
    leaseMilliseconds: Int64 = Limits.callbackLeaseSeconds * 1000,
    perDestinationMax: Int = Limits.callbackTriesPerDestinationMax
  ) {
    self.service = service
    self.schedule = schedule
    self.leaseMilliseconds = leaseMilliseconds
    self.perDestinationMax = perDestinationMax
  }

  package func claim(limit: Int) async throws -> [CallbackTry] {
    let now = service.now
    guard try await service.store.read({ try $0.deliveries.mayHaveDue(at: now) }) else { return [] }
    let lease = DeliveryLease(
      token: SecretText.randomBytes(16), until: now.adding(milliseconds: leaseMilliseconds))
    let perDestinationMax = self.perDestinationMax
    let claimed = try await service.store.write { transaction in
      try transaction.deliveries.claim(lease, limit: limit, perDestinationMax: perDestinationMax, at: now)
    }
    let tries = claimed.map { claimed in Result { try callback(for: claimed, lease: lease, at: now) } }
    // One whose secret cannot be opened does not hold up what was claimed along with it.
    let made = tries.compactMap { try? $0.get() }
    if made.isEmpty { _ = try tries.first?.get() }
    return made
  }

  private func callback(for claimed: ClaimedDelivery, lease: DeliveryLease, at now: Timestamp) throws -> CallbackTry {
    guard let envelope = service.envelope(of: claimed.event) else {
      throw StoreError.unusable(OperatorDetail("a delivery is of an event that stays inside"))
    }
    let destination = claimed.destination
    return CallbackTry(
      delivery: claimed.delivery, envelope: envelope, url: destination.details.url,
      secrets: try destination.signingSecrets(at: now).map {
        WebhookSecret(bytes: try service.secrets.opened($0, .webhookSecret, owner: destination.id.bytes))
      }, leaseToken: lease.token)
  }

  /// Moves the delivery on and logs the attempt, in one commit. An answer 410 disables the destination, unless its
  /// address was changed meanwhile.
  package func finish(
    _ callback: CallbackTry, _ attempt: CallbackAttempt, retryAfterSeconds: Int64?
  ) async throws -> CallbackOutcome {
    let now = service.now
    let jitter = Double.random(in: 0...1)
    let (service, schedule, merchant) = (self.service, self.schedule, callback.delivery.merchantID)
    return try await service.store.write { transaction in
      guard var delivery = try transaction.deliveries.find(callback.delivery.id, of: merchant)?.delivery else {
        return .leaseLost
      }
      delivery.apply(
        attempt.isAcknowledged
          ? .acknowledge : .fail(schedule: schedule, retryAfterSeconds: retryAfterSeconds, jitter: jitter), at: now)
      guard
        try transaction.deliveries.finish(
          delivery, attempt: attempt, leaseToken: callback.leaseToken, at: now)
      else { return .leaseLost }
      if attempt.saysGone { try service.disable(callback, in: transaction, at: now) }
      return switch delivery.state {
      case .delivered:
        .acknowledged(
          lagMilliseconds: max(0, now.millisecondsSinceEpoch - callback.envelope.at.millisecondsSinceEpoch))
      case .pending: .failed
      case .dead: .dead
      }
    }
  }

  package func release(_ callback: CallbackTry) async throws {
    let now = service.now
    try await service.store.write {
      try $0.deliveries.release(callback.delivery, leaseToken: callback.leaseToken, at: now)
    }
  }
}

extension KassaService {
  fileprivate func disable(
    _ callback: CallbackTry, in transaction: any WriteTransaction, at now: Timestamp
  ) throws {
    let (id, merchant) = (callback.delivery.destinationID, callback.delivery.merchantID)
    guard var destination = try transaction.webhooks.find(id, of: merchant),
      destination.details.url == callback.url, let event = destination.disableAsGone(at: now)
    else { return }
    guard try transaction.webhooks.update(destination) else { throw ServiceFailure.changedMeanwhile }
    let origin = ChangeOrigin(actor: .system, requestID: nil)
    try record(
      origin.event(event, of: id, merchant: merchant, sequence: destination.version, at: now), in: transaction)
  }
}
