import KassaDomain
import KassaStore

/// A session with everything that happened to it.
package struct SessionView: Sendable {
  package let session: Session
  /// Oldest first.
  package let payments: [Payment]
  /// In order. Empty where it was not asked for.
  package let history: [Event]
  /// By which it can be paid now: none once it is over, and where nobody asked.
  package let methods: [PaymentMethod]

  init(session: Session, payments: [Payment], history: [Event], methods: [PaymentMethod] = []) {
    self.session = session
    self.payments = payments
    self.history = history
    self.methods = methods
  }
}

extension KassaService {
  package func session(_ id: SessionID, as actor: CollectingActor) async throws -> SessionView {
    try await store.read { transaction in
      let session = try visibleSession(id, to: actor, in: transaction)
      return SessionView(
        session: session, payments: try transaction.payments.all(of: id, merchant: session.merchantID),
        history: try transaction.events.history(of: id.of(EventSubject.self), merchant: session.merchantID).map(
          \.event),
        methods: try methods(for: session, in: transaction))
    }
  }

  private func methods(for session: Session, in transaction: any ReadTransaction) throws -> [PaymentMethod] {
    let isOpen = session.state.name.isOpen && now < session.expiresAt
    return isOpen ? try offers(for: session, in: transaction).map(\.method) : []
  }

  /// What is switched on and can collect this session.
  func offers(for session: Session, in transaction: any ReadTransaction) throws -> [MethodOffer] {
    let location = try session.locationID.flatMap { try transaction.locations.find($0, of: session.merchantID) }
    let purchase = Purchase(
      amount: session.cart.orderAmount, currency: session.cart.currency, country: location?.details.country)
    return try providers.offers(of: session.merchantID, in: transaction).filter { $0.accepts(purchase) }
  }

  /// Without history.
  package func sessions(
    _ filter: SessionFilter, _ page: PageRequest, as principal: MerchantPrincipal
  ) async throws -> Page<SessionView> {
    try await store.read { transaction in
      let found = try transaction.sessions.page(of: principal.merchantID, filter, page)
      let payments = try transaction.payments.all(ofEach: found.content.map(\.id), merchant: principal.merchantID)
      return found.map { SessionView(session: $0, payments: payments[$0.id] ?? [], history: []) }
    }
  }

  /// The device's line: what waits to be collected, oldest first. Without history.
  package func line(of principal: DevicePrincipal) async throws -> [SessionView] {
    let (device, now) = (principal.device, self.now)
    return try await store.read { transaction in
      let line = try transaction.sessions
        .line(of: device.id, merchant: device.merchantID, limit: Limits.lineSessionsMax)
        .filter { $0.state.name == .active || now < $0.expiresAt }
      let payments = try transaction.payments.all(ofEach: line.map(\.id), merchant: device.merchantID)
      return try line.map { session in
        SessionView(
          session: session, payments: payments[session.id] ?? [], history: [],
          methods: try methods(for: session, in: transaction))
      }
    }
  }

  /// Notes that the device's stream told of sessions, all in one commit; only the first time counts.
  package func notePushed(_ ids: [SessionID], as principal: DevicePrincipal) async throws {
    let (merchant, now) = (principal.device.merchantID, self.now)
    let unnoted = try await store.read { transaction in
      try ids.filter { id in
        try transaction.sessions.find(id, of: merchant).map { $0.delivery.pushedAt == nil } ?? false
      }
    }
    if unnoted.isEmpty { return }
    try await store.write { transaction in
      for id in unnoted { _ = try transaction.sessions.note(.pushed, of: id, merchant: merchant, at: now) }
    }
  }

  /// Notes how far a session got to the clerk; only the first time counts.
  package func note(_ step: DeliveryStep, of id: SessionID, as principal: DevicePrincipal) async throws {
    let now = self.now
    let actor = CollectingActor.device(principal)
    let session = try await store.read { try visibleSession(id, to: actor, in: $0) }
    let isNoted =
      switch step {
      case .pushed: session.delivery.pushedAt != nil
      case .fetched: session.delivery.fetchedAt != nil
      case .shown: session.delivery.shownAt != nil
      }
    if isNoted { return }
    _ = try await store.write { try $0.sessions.note(step, of: id, merchant: session.merchantID, at: now) }
  }
}
