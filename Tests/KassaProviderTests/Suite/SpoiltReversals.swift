import KassaDomain
import KassaService
import KassaTestDatabases

/// An adapter that gives late money back otherwise than it should: the controls of giving back.
struct SpoiltReversals: PassingProvider {
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
