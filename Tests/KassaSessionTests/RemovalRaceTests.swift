import Dispatch
import KassaDomain
import KassaService
import KassaStore
import KassaTestDatabases
import Synchronization
import Testing

/// Settings of a method are removed while somebody is about to collect, or to move money, by it. Whoever came first, nobody
/// may be left with money on its way at a provider that cannot be asked any more.
@Suite(.serialized) struct RemovalRaceTests {
  private static func kind(_ network: ScanNetwork) -> ProviderKind {
    ProviderKind(
      name: .swish, method: .swish, fields: [], accepts: { _, _ in true },
      make: { _ throws(ProviderSettingsFlaws) in network })
  }

  private struct Scene {
    let shop: Shop
    /// Another service on the same store, at which no moment is caught.
    let other: KassaService
    let network: ScanNetwork
    let moments: Moments

    var me: MerchantActor { .backend(shop.backend) }

    func configure(isOn: Bool = true) async throws {
      _ = try await other.replacePaymentMethod(
        .swish, with: ReplacePaymentMethod(provider: .swish, isOn: isOn, capturePolicy: .automatic, settings: [:]),
        as: me)
    }

    /// Whether money may be on its way by a method without settings.
    func isStranded() async throws -> Bool {
      try await shop.store.read { transaction in
        guard try transaction.paymentMethods.find(.swish, .swish, of: shop.backend.merchantID) == nil else {
          return false
        }
        return try transaction.payments.hasOpen(by: .swish, of: shop.backend.merchantID)
          || transaction.orders.hasOpenMovement(by: .swish, of: shop.backend.merchantID)
      }
    }
  }

  private func scene(_ body: (Scene) async throws -> Void) async throws {
    let (clock, moments) = (TestClock(), Moments())
    let network = ScanNetwork { clock.now }
    let shop = try await Shop(
      clock: clock, kinds: { _ in [Self.kind(network)] }, around: { InterruptedStore($0, moments) })
    let scene = Scene(
      shop: shop, other: shop.service(kinds: [Self.kind(network)], builtIn: []), network: network, moments: moments)
    try await scene.configure()
    try await body(scene)
    await shop.close()
  }

  @Test func whatIsRemovedAfterItWasOfferedCollectsNothing() async throws {
    try await scene { scene in
      let device = try await scene.shop.pair()
      let id = try await scene.shop.create(on: device)
      scene.moments.beforeNextWrite { try await scene.other.deletePaymentMethod(.swish, as: scene.me) }
      let start = { _ = try await scene.shop.service.startPayment(.swish, of: id, as: .device(device)) }
      #expect(try await failure(start) == "methodUnavailable")
      #expect(try await !scene.isStranded())
      #expect(try await scene.shop.session(id).state == .created)

      try await scene.configure()
      scene.moments.beforeNextWrite { try await scene.configure(isOn: false) }
      #expect(try await failure(start) == "methodUnavailable")
      try await scene.configure()
      #expect(try await failure(start) == nil)
      #expect(scene.network.calls("start") == 1)
    }
  }

  @Test func whatIsRemovedMovesNoMoney() async throws {
    try await scene { scene in
      let device = try await scene.shop.pair()
      let id = try await scene.shop.create(on: device)
      let payment = try await scene.shop.service.startPayment(.swish, of: id, as: .device(device)).payment
      #expect(await scene.network.buyer(.approve, of: try await scene.shop.service.charge(of: payment)))
      let paid = try await scene.shop.service.settlePayment(payment.id, of: id, as: .device(device)).session.state
      guard case .finalized(_, let order) = paid else { throw Violation(description: "not paid: \(paid)") }
      try await scene.shop.rest()
      let refund = {
        let wanted = MoveMoney(amount: 1, reference: nil, description: nil)
        _ = try await scene.shop.service.refund(wanted, of: order, as: scene.shop.backend)
      }
      scene.moments.beforeNextWrite { try await scene.other.deletePaymentMethod(.swish, as: scene.me) }
      #expect(try await failure(refund) == "notAllowed")
      #expect(try await !scene.isStranded())
      let view = try await scene.shop.service.orderView(order, as: scene.shop.backend)
      #expect(view.refunds.isEmpty && view.order.refundable == view.order.amount)

      // Switched off it moves money as before: only what is new is refused.
      try await scene.configure(isOn: false)
      #expect(try await failure(refund) == nil)
    }
  }

  /// The other way round, which needs two transactions at once: the attempt begins while its method is being removed.
  @Test(.enabled(if: TestDatabase.isPostgres, "a file has one writer"))
  func whatIsCollectedWhileItIsRemovedStays() async throws {
    try await scene { scene in
      let device = try await scene.shop.pair()
      let id = try await scene.shop.create(on: device)
      scene.moments.beforeNextRemoval {
        let done = DispatchSemaphore(value: 0)
        Task {
          defer { done.signal() }
          _ = try await scene.other.startPayment(.swish, of: id, as: .device(device))
        }
        done.wait()
      }
      let removal = try await failure { try await scene.shop.service.deletePaymentMethod(.swish, as: scene.me) }
      #expect(removal == "paymentMethodInUse")
      #expect(try await !scene.isStranded())
      #expect(try await scene.shop.view(id).payments.map(\.state) == [.open])
    }
  }

  @Test func manyAtOnceLeaveNothingBehind() async throws {
    try await scene { scene in
      let devices = try await scene.shop.pair(4)
      for round in 0..<40 {
        try await scene.configure()
        var sessions: [SessionID] = []
        for device in devices { sessions.append(try await scene.shop.create(on: device)) }
        try await withThrowingTaskGroup(of: Void.self) { [sessions] group in
          for (device, id) in zip(devices, sessions) {
            group.addTask {
              _ = try await failure { _ = try await scene.other.startPayment(.swish, of: id, as: .device(device)) }
            }
          }
          group.addTask {
            for _ in 0..<round % 6 { try await scene.shop.store.checkWritable() }
            _ = try await failure { try await scene.other.deletePaymentMethod(.swish, as: scene.me) }
          }
          try await group.waitForAll()
        }
        #expect(try await !scene.isStranded(), "in round \(round)")
        for id in sessions { _ = try await scene.other.cancelSession(id, as: scene.shop.merchant) }
      }
    }
  }
}

/// What is to happen at the next moment of a kind, once.
private final class Moments: Sendable {
  private let write = Mutex<(@Sendable () async throws -> Void)?>(nil)
  private let removal = Mutex<(@Sendable () -> Void)?>(nil)

  func beforeNextWrite(_ action: @escaping @Sendable () async throws -> Void) { write.withLock { $0 = action } }
  func beforeNextRemoval(_ action: @escaping @Sendable () -> Void) { removal.withLock { $0 = action } }

  func writeBegins() async throws { try await Self.take(write)?() }
  func removalBegins() { Self.take(removal)?() }

  private static func take<Action: Sendable>(_ action: borrowing Mutex<Action?>) -> Action? {
    action.withLock { action in
      defer { action = nil }
      return action
    }
  }
}

/// A store that lets something happen just before a write, or within one just before a method's settings are removed.
private final class InterruptedStore: PassingStore {
  let inner: any Store
  private let moments: Moments

  init(_ inner: any Store, _ moments: Moments) { (self.inner, self.moments) = (inner, moments) }

  func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    try await moments.writeBegins()
    return try await inner.write { [moments] in try body(InterruptedTransaction(inner: $0, moments: moments)) }
  }
}

private struct InterruptedTransaction: PassingTransaction {
  let inner: any WriteTransaction
  let moments: Moments

  var paymentMethods: any PaymentMethodTable { InterruptedMethods(inner: inner.paymentMethods, moments: moments) }
}

private struct InterruptedMethods: PaymentMethodTable {
  let inner: any PaymentMethodTable
  let moments: Moments

  func find(_ method: PaymentMethod, _ provider: ProviderName, of merchant: MerchantID) throws -> ConfiguredMethod? {
    try inner.find(method, provider, of: merchant)
  }
  func current(of merchant: MerchantID) throws -> [ConfiguredMethod] { try inner.current(of: merchant) }
  func insert(_ configured: ConfiguredMethod) throws { try inner.insert(configured) }
  func update(_ configured: ConfiguredMethod) throws -> Bool { try inner.update(configured) }

  func delete(_ method: PaymentMethod, of merchant: MerchantID) throws -> [ConfiguredMethod] {
    moments.removalBegins()
    return try inner.delete(method, of: merchant)
  }
}
