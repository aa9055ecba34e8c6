import KassaDomain
import KassaStore

/// A method as its merchant sees it.
package struct PaymentMethodView: Sendable {
  package let method: PaymentMethod
  /// `nil` where nothing is configured.
  package let configured: ConfiguredMethod?
  /// The providers to choose from.
  package let kinds: [ProviderKind]
  /// Where a provider may tell of what happened.
  package let notificationURL: String
}

/// What a merchant wants a method to be.
package struct ReplacePaymentMethod: Sendable {
  package let provider: ProviderName
  package let isOn: Bool
  package let capturePolicy: CapturePolicy
  /// Secret ones that are left out stay as they are; empty ones are removed.
  package let settings: [String: String]

  package init(provider: ProviderName, isOn: Bool, capturePolicy: CapturePolicy, settings: [String: String]) {
    self.provider = provider
    self.isOn = isOn
    self.capturePolicy = capturePolicy
    self.settings = settings
  }
}

extension KassaService {
  /// Every method, whether it is configured or not.
  package func paymentMethods(as actor: MerchantActor) async throws -> [PaymentMethodView] {
    let current = try await store.read { transaction in
      guard try transaction.merchants.find(actor.merchantID) != nil else { throw ServiceFailure.notFound }
      return try transaction.paymentMethods.current(of: actor.merchantID)
    }
    return PaymentMethod.allCases.map { method in
      view(of: method, current.first { $0.method == method }, merchant: actor.merchantID)
    }
  }

  package func paymentMethod(_ method: PaymentMethod, as actor: MerchantActor) async throws -> PaymentMethodView {
    let found = try await store.read { try $0.paymentMethods.current(of: actor.merchantID) }
    return view(of: method, found.first { $0.method == method }, merchant: actor.merchantID)
  }

  /// Says who collects by the method, and how. Another provider of before keeps its settings, for refunds of what it took.
  /// Throws `invalid` with every field that is wrong.
  package func replacePaymentMethod(
    _ method: PaymentMethod, with wanted: ReplacePaymentMethod, as actor: MerchantActor
  ) async throws -> PaymentMethodView {
    guard let kind = kind(wanted.provider, for: method) else {
      let names = providerKinds.filter { $0.method == method }.map(\.name.rawValue)
      throw ServiceFailure.invalid([
        FieldFlaw(
          "provider",
          names.isEmpty
            ? "cannot be chosen: this server has none for \(method.rawValue)"
            : "must be one of \(names.joined(separator: ", "))")
      ])
    }
    let now = self.now
    let merchant = actor.merchantID
    var generator = SystemRandomNumberGenerator()
    let newID = ConfiguredMethodID(using: &generator)
    let saved = try await store.write { transaction in
      guard try transaction.merchants.find(merchant) != nil else { throw ServiceFailure.notFound }
      let known = try transaction.paymentMethods.find(method, kind.name, of: merchant)
      let id = known?.id ?? newID
      var details = ConfiguredMethod.Details(isOn: wanted.isOn, capturePolicy: wanted.capturePolicy)
      var settings = wanted.settings.filter { !$0.value.utf8.isEmpty }
      if let known {
        let stored = try secrets.openedSettings(of: known)
        for field in kind.fields where field.isSecret && wanted.settings[field.name] == nil {
          settings[field.name] = stored[field.name]
        }
      }
      try check(settings, of: kind)
      try keep(settings, of: kind, id, in: &details)
      for var other in try transaction.paymentMethods.current(of: merchant)
      where other.method == method && other.provider != kind.name {
        let event = other.yield(at: now)
        guard try transaction.paymentMethods.update(other) else { throw ServiceFailure.changedMeanwhile }
        try record(event, of: other, origin: actor.origin, at: now, in: transaction)
      }
      guard var known else {
        let made = ConfiguredMethod(
          id: id, merchantID: merchant, method: method, provider: kind.name, details: details, createdAt: now)
        try transaction.paymentMethods.insert(made)
        try record(.paymentMethodCreated, of: made, origin: actor.origin, at: now, in: transaction)
        return made
      }
      let event = known.replace(details, at: now)
      guard try transaction.paymentMethods.update(known) else { throw ServiceFailure.changedMeanwhile }
      try record(event, of: known, origin: actor.origin, at: now, in: transaction)
      return known
    }
    return view(of: method, saved, merchant: merchant)
  }

  /// Forgets the method's settings, of every provider. Done again it changes nothing. Throws `paymentMethodInUse` while
  /// money is on its way by it.
  package func deletePaymentMethod(_ method: PaymentMethod, as actor: MerchantActor) async throws {
    let now = self.now
    let merchant = actor.merchantID
    try await store.write { transaction in
      guard try !transaction.payments.hasOpen(by: method, of: merchant),
        try !transaction.orders.hasOpenMovement(by: method, of: merchant)
      else { throw ServiceFailure.paymentMethodInUse }
      for configured in try transaction.paymentMethods.delete(method, of: merchant) {
        try record(
          actor.origin.event(
            .paymentMethodDeleted, of: configured.id, merchant: merchant, sequence: configured.version + 1, at: now),
          in: transaction)
      }
    }
  }

  /// Calls the provider with the stored settings. Throws `notFound` where nothing is configured.
  package func checkPaymentMethod(_ method: PaymentMethod, as actor: MerchantActor) async throws -> [ProviderFinding] {
    let (_, provider) = try await currentProvider(method, as: actor)
    return await bounded {
      [ProviderFinding("The provider did not answer within \($0) seconds.", isSound: false)]
    } _: {
      await provider.check()
    }
  }

  /// Has the provider tell Kassa of what happens, and keeps what it answers. Throws `providerRefused` where it does not,
  /// or cannot.
  package func subscribePaymentMethod(
    _ method: PaymentMethod, as actor: MerchantActor
  ) async throws -> PaymentMethodView {
    let (configured, provider) = try await currentProvider(method, as: actor)
    guard let notifying = provider as? any NotifyingProvider, let kind = kind(configured.provider, for: method) else {
      throw ServiceFailure.providerRefused(
        "\(configured.provider.rawValue) needs no set-up by a call: it is told with each payment where to notify, or in "
          + "its own portal")
    }
    let url = notificationURL(for: method, of: actor.merchantID)
    let answer = await bounded {
      Result<[String: String], ProviderSetupFailure>.failure(
        ProviderSetupFailure("the provider did not answer within \($0) seconds: try again"))
    } _: {
      await notifying.subscribe(to: url)
    }
    let kept: [String: String]
    switch answer {
    case .success(let settings): kept = settings
    case .failure(let failure): throw ServiceFailure.providerRefused(failure.message)
    }
    let now = self.now
    let saved = try await store.write { transaction in
      guard var known = try transaction.paymentMethods.find(method, configured.provider, of: actor.merchantID) else {
        throw ServiceFailure.notFound
      }
      var details = known.details
      try keep(try secrets.openedSettings(of: known).merging(kept) { $1 }, of: kind, known.id, in: &details)
      let event = known.replace(details, at: now)
      guard try transaction.paymentMethods.update(known) else { throw ServiceFailure.changedMeanwhile }
      try record(event, of: known, origin: actor.origin, at: now, in: transaction)
      return known
    }
    return view(of: method, saved, merchant: actor.merchantID)
  }

  // MARK: Parts

  func kind(_ provider: ProviderName, for method: PaymentMethod) -> ProviderKind? {
    providerKinds.first { $0.name == provider && $0.method == method }
  }

  private func view(
    of method: PaymentMethod, _ configured: ConfiguredMethod?, merchant: MerchantID
  ) -> PaymentMethodView {
    PaymentMethodView(
      method: method, configured: configured, kinds: providerKinds.filter { $0.method == method },
      notificationURL: notificationURL(for: method, of: merchant))
  }

  private func currentProvider(
    _ method: PaymentMethod, as actor: MerchantActor
  ) async throws -> (ConfiguredMethod, any PaymentProvider) {
    let current = try await store.read { try $0.paymentMethods.current(of: actor.merchantID) }
    guard let configured = current.first(where: { $0.method == method }) else { throw ServiceFailure.notFound }
    let provider = try await providers.provider(configured.provider, for: method, of: actor.merchantID)
    guard let provider else {
      throw ServiceFailure.providerRefused("the settings do not suit this version of Kassa: enter them again")
    }
    return (configured, provider)
  }

  private func check(_ settings: [String: String], of kind: ProviderKind) throws {
    var flaws: [FieldFlaw] = []
    for name in settings.keys.sorted() where !kind.fields.contains(where: { $0.name == name }) {
      let names = kind.fields.map(\.name).joined(separator: ", ")
      flaws.append(FieldFlaw(name, names.isEmpty ? "is no setting: there are none" : "must be one of \(names)"))
    }
    for field in kind.fields {
      switch settings[field.name] {
      case nil where field.isRequired: flaws.append(FieldFlaw(field.name, "is required: \(field.explanation)"))
      case .some(let value) where value.utf8.count > Limits.providerSettingBytesMax:
        flaws.append(FieldFlaw(field.name, "must have at most \(Limits.providerSettingBytesMax) bytes"))
      case nil, .some: break
      }
    }
    do throws(ProviderSettingsFlaws) {
      _ = try kind.make(settings)
    } catch {
      flaws += error.all.filter { flaw in !flaws.contains { sameBytes($0.path, flaw.path) } }
    }
    guard flaws.isEmpty else {
      throw ServiceFailure.invalid(flaws.map { FieldFlaw("settings.\($0.path)", $0.message) })
    }
  }

  /// Puts settings where they belong: open ones as they are, secret ones sealed. What is no field of the kind is secret.
  func keep(
    _ settings: [String: String], of kind: ProviderKind, _ id: ConfiguredMethodID,
    in details: inout ConfiguredMethod.Details
  ) throws {
    (details.settings, details.sealedSecrets) = ([:], [:])
    for (name, value) in settings {
      if kind.fields.contains(where: { $0.name == name && !$0.isSecret }) {
        details.settings[name] = value
      } else {
        details.sealedSecrets[name] = try secrets.sealedSetting(value, name, of: id)
      }
    }
  }

  func record(
    _ type: EventType, of configured: ConfiguredMethod, origin: ChangeOrigin, at now: Timestamp,
    in transaction: any WriteTransaction
  ) throws {
    try record(
      origin.event(
        type, of: configured.id, merchant: configured.merchantID, sequence: configured.version, at: now),
      in: transaction)
  }
}
