import KassaDomain
import KassaStore

/// Who collects: what a session is changed as, and which sessions are visible.
package enum CollectingActor: Sendable {
  case merchant(MerchantPrincipal)
  case device(DevicePrincipal)
  /// Kassa itself.
  case kassa(MerchantID)

  var merchantID: MerchantID {
    switch self {
    case .merchant(let principal): principal.merchantID
    case .device(let principal): principal.device.merchantID
    case .kassa(let merchant): merchant
    }
  }

  var origin: ChangeOrigin {
    switch self {
    case .merchant(let principal): principal.origin
    case .device(let principal): ChangeOrigin(actor: .device(principal.device.id), requestID: principal.requestID)
    case .kassa: .system
    }
  }
}

extension ChangeOrigin {
  static var system: ChangeOrigin { ChangeOrigin(actor: .system, requestID: nil) }
  static var console: ChangeOrigin { ChangeOrigin(actor: .operatorAtConsole, requestID: nil) }
}

extension KassaService {
  /// Runs `body` and, once it is committed, wakes the streams of the device.
  func writeSession<Value: Sendable & SessionHolder>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    let value = try await translatingRefusals { try await store.write(body) }
    signals.wake(value.session.deviceID)
    return value
  }

  /// Applies one command and records its events, in the commit of `transaction`. Guarded by the version that was read.
  func apply(
    _ command: Session.Command, to session: inout Session, origin: ChangeOrigin, at now: Timestamp,
    in transaction: any WriteTransaction
  ) throws -> Session.Change {
    let version = session.version
    let change = try session.apply(command)
    try save(change, of: session, expecting: version, origin: origin, at: now, in: transaction)
    return change
  }

  /// Saves what a change made of the session, if it is still of the version that was read, and records the events.
  func save(
    _ change: Session.Change, of session: Session, expecting version: Int64, origin: ChangeOrigin, at now: Timestamp,
    in transaction: any WriteTransaction
  ) throws {
    guard change.isChanged else { return }
    guard try transaction.sessions.save(session, expecting: version) else { throw ServiceFailure.changedMeanwhile }
    for event in change.events { try record(event, of: session, origin: origin, at: now, in: transaction) }
  }

  @discardableResult
  func record(
    _ emitted: Session.Change.Emitted, of session: Session, origin: ChangeOrigin, at now: Timestamp,
    in transaction: any WriteTransaction
  ) throws -> Event {
    let order: OrderID? = if case .finalized(_, let order) = session.state { order } else { nil }
    let event = Event(
      merchantID: session.merchantID, subjectID: session.id.of(EventSubject.self), sequence: emitted.sequence,
      type: emitted.type, at: now, actor: origin.actor, requestID: origin.requestID, deviceID: session.deviceID,
      orderID: order, failureReason: emitted.reason)
    try record(event, in: transaction)
    return event
  }

  /// The session, if the actor may see it. Throws `notFound` otherwise.
  func visibleSession(
    _ id: SessionID, to actor: CollectingActor, in transaction: any WriteTransaction
  ) throws -> Session {
    try visible(try transaction.sessions.find(id, of: actor.merchantID), to: actor)
  }

  func visibleSession(_ id: SessionID, to actor: CollectingActor, in transaction: any ReadTransaction) throws -> Session
  {
    try visible(try transaction.sessions.find(id, of: actor.merchantID), to: actor)
  }

  private func visible(_ session: Session?, to actor: CollectingActor) throws -> Session {
    guard let session else { throw ServiceFailure.notFound }
    if case .device(let principal) = actor, session.deviceID != principal.device.id { throw ServiceFailure.notFound }
    return session
  }

  func translatingRefusals<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let refusal as Refusal {
      throw ServiceFailure(refusal)
    }
  }
}

/// What a change of a session gives back.
protocol SessionHolder {
  var session: Session { get }
}

extension Session: SessionHolder {
  var session: Session { self }
}

extension CollectionView: SessionHolder {}

extension ServiceFailure {
  init(_ refusal: Refusal) {
    switch refusal {
    case .enrollmentConsumed: self = .enrollmentConsumed
    case .enrollmentExpired, .enrollmentCancelled, .enrollmentNotYetExpired: self = .enrollmentCodeInvalid
    case .sessionFinalized: self = .sessionFinalized
    case .sessionOver: self = .sessionOver
    case .paymentInProgress: self = .paymentInProgress
    case .noPaymentUnderWay: self = .noPaymentUnderWay
    case .moreThanCapturable(let left): self = .notAllowed("at most \(left) minor units are left to capture")
    case .moreThanRefundable(let left): self = .notAllowed("at most \(left) minor units are left to refund")
    case .orderCancelled: self = .notAllowed("the order is cancelled, or being cancelled")
    case .orderCaptured: self = .notAllowed("money of the order was captured, or is being captured: refund it instead")
    case .nothingAskedFor: self = .changedMeanwhile
    }
  }
}
