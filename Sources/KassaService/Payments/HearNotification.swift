import KassaDomain
import KassaStore
import Synchronization

/// Attempts that providers told of, and that are being asked about now.
final class NotifiedPayments: Sendable {
  /// Whether to ask once more, because something was told meanwhile.
  private let asked = Mutex<[PaymentID: Bool]>([:])

  /// Returns whether the caller is the one to ask.
  func begin(_ payment: PaymentID) -> Bool {
    asked.withLock { asked in
      if asked[payment] != nil {
        asked[payment] = true
        return false
      }
      guard asked.count < Limits.notificationsAskedAtOnceMax else { return false }
      asked[payment] = false
      return true
    }
  }

  /// Returns whether to ask once more.
  func finish(_ payment: PaymentID) -> Bool {
    asked.withLock { asked in
      if asked[payment] == true {
        asked[payment] = false
        return true
      }
      asked[payment] = nil
      return false
    }
  }
}

extension KassaService {
  /// Something came to `{public-url}/providers/v1/{method}/{merchant}` or to that of one attempt. Throws `unauthorized`,
  /// and does nothing, unless the attempt's provider says that it is genuine. Then the provider is asked, after this
  /// returned: what it sent is never believed for what it says.
  package func hear(
    _ notification: ProviderNotification, for method: PaymentMethod, of merchant: MerchantID, about id: PaymentID?
  ) async throws {
    let payment = try await id.flatMapAwaiting { id in try await store.read { try $0.payments.find(id, of: merchant) } }
    let provider: (any PaymentProvider)?
    if id != nil {
      guard let payment, payment.method == method else { throw ServiceFailure.unauthorized }
      provider = try await self.provider(of: payment)
    } else {
      let current = try await store.read { try $0.paymentMethods.current(of: merchant) }
      provider = try await current.first { $0.method == method }.flatMapAwaiting {
        try await providers.provider($0.provider, for: method, of: merchant)
      }
    }
    guard let provider else { throw ServiceFailure.unauthorized }
    let charge = try await payment.flatMapAwaiting { try await self.charge(of: $0) }
    let verdict = await bounded { _ in
      NotificationVerdict.forged
    } _: {
      await provider.verdict(on: notification, about: charge)
    }
    switch verdict {
    case .forged: throw ServiceFailure.unauthorized
    case .irrelevant: return
    case .concerns(let concerned):
      guard let known = try await known(concerned), notified.begin(concerned) else { return }
      Task { await askWhileNotified(known) }
    case .concernsRefunds(let concerned):
      if let known = try await known(concerned) { try await doubtRefunds(paidBy: known) }
    }
    func known(_ concerned: PaymentID) async throws -> Payment? {
      let payment = try await store.read { try $0.payments.find(concerned, of: merchant) }
      return payment?.method == method && (id == nil || concerned == id) ? payment : nil
    }
  }

  private func askWhileNotified(_ payment: Payment) async {
    repeat {
      // What fails here is found by the reconciler.
      _ = try? await ask(payment) { await $0.query($1) }
      for movement in (try? await openMovements(paidBy: payment)) ?? [] {
        _ = try? await carryOut(movement, isAskedAgain: true)
      }
    } while notified.finish(payment.id)
  }
}
