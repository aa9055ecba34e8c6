import KassaDomain
import KassaStore
import Synchronization

/// The providers that merchants configured. Adapters are made of the stored settings when they are first asked for, and
/// kept until the settings change.
package final class ConfiguredProviders: ProviderDirectory {
  private struct Key: Hashable {
    let merchant: MerchantID
    let method: PaymentMethod
    let provider: ProviderName
  }

  private struct Made {
    let id: ConfiguredMethodID
    let version: Int64
    let provider: any PaymentProvider
  }

  private let store: any Store
  private let secrets: ServerSecrets
  package let kinds: [ProviderKind]
  private let made = Mutex<[Key: Made]>([:])

  package init(store: any Store, secrets: ServerSecrets, kinds: [ProviderKind]) {
    self.store = store
    self.secrets = secrets
    self.kinds = kinds
  }

  package func provider(
    _ name: ProviderName, for method: PaymentMethod, of merchant: MerchantID
  ) async throws -> (any PaymentProvider)? {
    let found = try await store.read { try $0.paymentMethods.find(method, name, of: merchant) }
    let key = Key(merchant: merchant, method: method, provider: name)
    guard let found, let kind = kinds.first(where: { $0.name == name && $0.method == method }) else {
      made.withLock { $0[key] = nil }
      return nil
    }
    if let known = made.withLock({ $0[key] }), known.id == found.id, known.version == found.version {
      return known.provider
    }
    let settings = try secrets.openedSettings(of: found)
    let provider: any PaymentProvider
    do throws(ProviderSettingsFlaws) {
      provider = try kind.make(settings)
    } catch {
      // They were right when they were saved, by an adapter of another version.
      return nil
    }
    made.withLock { made in
      if made.count >= Limits.adaptersKeptMax { made.removeAll() }
      made[key] = Made(id: found.id, version: found.version, provider: provider)
    }
    return provider
  }

  package func offers(of merchant: MerchantID, in transaction: any ReadTransaction) throws -> [MethodOffer] {
    try transaction.paymentMethods.current(of: merchant).compactMap { configured in
      guard configured.details.isOn,
        let kind = kinds.first(where: { $0.name == configured.provider && $0.method == configured.method })
      else { return nil }
      let settings = configured.details.settings
      return MethodOffer(method: configured.method, provider: configured.provider) { kind.accepts($0, settings) }
    }
  }

  package func role(
    of name: ProviderName, for method: PaymentMethod, of merchant: MerchantID, in transaction: any WriteTransaction
  ) throws -> ProviderRole {
    guard let configured = try transaction.paymentMethods.find(method, name, of: merchant) else { return .none }
    return configured.isCurrent && configured.details.isOn ? .collects : .settles
  }
}

extension ServerSecrets {
  /// All settings of a method, the secret ones opened.
  func openedSettings(of configured: ConfiguredMethod) throws -> [String: String] {
    var settings = configured.details.settings
    for (name, sealed) in configured.details.sealedSecrets {
      let plain = try opened(sealed, .providerSetting, owner: Self.owner(of: name, configured.id))
      settings[name] = String(decoding: plain, as: UTF8.self)
    }
    return settings
  }

  func sealedSetting(_ text: String, _ name: String, of id: ConfiguredMethodID) throws -> [UInt8] {
    try sealed(Array(text.utf8), .providerSetting, owner: Self.owner(of: name, id))
  }

  private static func owner(of name: String, _ id: ConfiguredMethodID) -> [UInt8] { id.bytes + Array(name.utf8) }
}
