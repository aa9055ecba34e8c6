import KassaService

/// A provider for tests that passes on to another what it does not do otherwise.
package protocol PassingProvider: PaymentProvider {
  var base: any PaymentProvider { get }
}

extension PassingProvider {
  package func start(_ charge: Charge) async -> ProviderReport { await base.start(charge) }
  package func settle(_ charge: Charge) async -> ProviderReport { await base.settle(charge) }
  package func cancel(_ charge: Charge) async -> ProviderReport { await base.cancel(charge) }
  package func query(_ charge: Charge) async -> ProviderReport { await base.query(charge) }
  package func capture(_ movement: MoneyMovement) async -> MovementReport { await base.capture(movement) }
  package func refund(_ movement: MoneyMovement) async -> MovementReport { await base.refund(movement) }
  package func release(_ charge: Charge) async -> MovementReport { await base.release(charge) }
  package func reverse(_ charge: Charge) async -> MovementReport { await base.reverse(charge) }
  package func verdict(
    on notification: ProviderNotification, about charge: Charge?
  ) async -> NotificationVerdict {
    await base.verdict(on: notification, about: charge)
  }
  package func check() async -> [ProviderFinding] { await base.check() }
}
