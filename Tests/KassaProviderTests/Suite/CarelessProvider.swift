import KassaService
import KassaTestDatabases

/// An adapter that believes itself instead of its provider: what it ended it calls unpaid without reading what became of
/// it, and what it asks for again it asks for as if it were new. The control: with it the books must be seen to disagree.
struct CarelessProvider: PassingProvider {
  let base: any PaymentProvider

  func cancel(_ charge: Charge) async -> ProviderReport {
    _ = await base.cancel(charge)
    return ProviderReport(.notPaid(.cancelled))
  }
  func capture(_ movement: MoneyMovement) async -> MovementReport { await base.capture(movement.asNew) }
  func refund(_ movement: MoneyMovement) async -> MovementReport { await base.refund(movement.asNew) }

  /// The same kind, made careless.
  static func kind(_ kind: ProviderKind) -> ProviderKind {
    ProviderKind(
      name: kind.name, method: kind.method, fields: kind.fields, accepts: kind.accepts,
      make: { settings throws(ProviderSettingsFlaws) in CarelessProvider(base: try kind.make(settings)) })
  }
}

extension MoneyMovement {
  fileprivate var asNew: MoneyMovement {
    MoneyMovement(
      charge: charge, id: id, amount: amount, reference: reference, references: references, createdAt: createdAt,
      othersDone: othersDone)
  }
}
