import KassaDomain
import KassaService

/// An adapter that gives late money back otherwise than it should: the controls of giving back.
struct SpoiltReversals: PaymentProvider {
  enum Flaw: Sendable {
    /// Every try has the name of the first one.
    case alwaysTheFirstTry
    /// What is not known counts as refused.
    case unknownIsRefused
  }

  let base: any PaymentProvider
  let flaw: Flaw

  func reverse(_ charge: Charge) async -> MovementReport {
    switch flaw {
    case .alwaysTheFirstTry:
      let values = charge.references.values.filter { $0.key != "reverse_try" }
      return await base.reverse(charge.replacing(ProviderReferences(values)))
    case .unknownIsRefused:
      let report = await base.reverse(charge)
      guard case .unknown(let words) = report.answer else { return report }
      return MovementReport(.refused(words), references: report.references)
    }
  }

  func start(_ charge: Charge) async -> ProviderReport { await base.start(charge) }
  func settle(_ charge: Charge) async -> ProviderReport { await base.settle(charge) }
  func cancel(_ charge: Charge) async -> ProviderReport { await base.cancel(charge) }
  func query(_ charge: Charge) async -> ProviderReport { await base.query(charge) }
  func capture(_ movement: MoneyMovement) async -> MovementReport { await base.capture(movement) }
  func refund(_ movement: MoneyMovement) async -> MovementReport { await base.refund(movement) }
  func release(_ charge: Charge) async -> MovementReport { await base.release(charge) }
  func verdict(on notification: ProviderNotification, about charge: Charge?) async -> NotificationVerdict {
    await base.verdict(on: notification, about: charge)
  }
  func check() async -> [ProviderFinding] { await base.check() }

  /// Makes the same kind, with this flaw.
  static func kind(_ flaw: Flaw) -> @Sendable (ProviderKind) -> ProviderKind {
    { kind in
      ProviderKind(
        name: kind.name, method: kind.method, fields: kind.fields, accepts: kind.accepts,
        make: { settings throws(ProviderSettingsFlaws) in
          SpoiltReversals(base: try kind.make(settings), flaw: flaw)
        })
    }
  }
}
