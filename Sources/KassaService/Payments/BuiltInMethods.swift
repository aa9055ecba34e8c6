import KassaDomain
import KassaStore

/// A built-in method with what a new row of it needs: made before the transaction.
struct NewBuiltInMethod: Sendable {
  let method: BuiltInMethod
  let kind: ProviderKind
  let id: ConfiguredMethodID
}

/// What every merchant of a playground has from the beginning. Nobody enters settings there: the playground knows its own
/// emulators, and where they are since it started.
extension KassaService {
  func newBuiltInMethods() throws -> [NewBuiltInMethod] {
    var generator = SystemRandomNumberGenerator()
    return builtInMethods.compactMap { method in
      kind(method.provider, for: method.method).map {
        NewBuiltInMethod(method: method, kind: $0, id: ConfiguredMethodID(using: &generator))
      }
    }
  }

  func prepareBuiltInMethods(of merchant: MerchantID) async throws {
    let now = self.now
    let methods = try newBuiltInMethods()
    try await store.write { try prepareBuiltInMethods(of: merchant, methods, in: $0, at: now) }
  }

  /// Adds those that the merchant has not, and brings up to date those that nobody changed.
  func prepareBuiltInMethods(
    of merchant: MerchantID, _ methods: [NewBuiltInMethod], in transaction: any WriteTransaction, at now: Timestamp
  ) throws {
    for new in methods {
      let (method, provider) = (new.method.method, new.method.provider)
      guard var known = try transaction.paymentMethods.find(method, provider, of: merchant) else {
        let hasOther = try transaction.paymentMethods.current(of: merchant).contains { $0.method == method }
        let made = ConfiguredMethod(
          id: new.id, merchantID: merchant, method: method, provider: provider,
          details: try details(of: new, id: new.id), isCurrent: !hasOther, createdAt: now)
        try transaction.paymentMethods.insert(made)
        try record(.paymentMethodCreated, of: made, origin: .console, at: now, in: transaction)
        continue
      }
      guard known.details.isBuiltIn, known.isCurrent,
        try secrets.openedSettings(of: known) != new.method.settings
      else { continue }
      var details = try details(of: new, id: known.id)
      (details.isOn, details.capturePolicy) = (known.details.isOn, known.details.capturePolicy)
      let event = known.replace(details, at: now)
      guard try transaction.paymentMethods.update(known) else { throw ServiceFailure.changedMeanwhile }
      try record(event, of: known, origin: .console, at: now, in: transaction)
    }
  }

  private func details(of new: NewBuiltInMethod, id: ConfiguredMethodID) throws -> ConfiguredMethod.Details {
    var details = ConfiguredMethod.Details(isOn: true, isBuiltIn: true)
    try keep(new.method.settings, of: new.kind, id, in: &details)
    return details
  }
}
