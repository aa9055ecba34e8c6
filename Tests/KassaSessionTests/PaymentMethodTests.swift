import KassaDomain
import KassaService
import KassaStore
import Synchronization
import Testing

/// Methods that merchants configure: what is kept, what is shown, and what phones are offered.
@Suite(.serialized) struct PaymentMethodTests {
  private final class Count: Sendable {
    private let made = Mutex(0)
    func add() { made.withLock { $0 += 1 } }
    var value: Int { made.withLock { $0 } }
  }

  /// A provider of scanned codes in two guises, as Swish would be and as Vipps would be, and both for the same method too.
  private static func kinds(_ network: ScanNetwork, made: Count = Count()) -> [ProviderKind] {
    func kind(_ name: ProviderName, _ method: PaymentMethod, currencies: [String]) -> ProviderKind {
      ProviderKind(
        name: name, method: method,
        fields: [
          ProviderField("payee", "Where the money goes."),
          ProviderField("key", "The key.", isSecret: true),
          ProviderField("signing_secret", "Comes by itself.", isRequired: false, isSecret: true),
        ],
        accepts: { purchase, settings in
          currencies.contains(purchase.currency.code) && purchase.amount < 50_000 && settings["key"] == nil
            && purchase.country != "US"
        },
        make: { settings throws(ProviderSettingsFlaws) in
          made.add()
          guard settings["payee"]?.hasPrefix("123") == true else {
            throw ProviderSettingsFlaws([FieldFlaw("payee", "must begin with 123")])
          }
          return network
        })
    }
    return [
      kind(.swish, .swish, currencies: ["SEK"]), kind(.vipps, .vipps, currencies: ["NOK", "DKK", "EUR"]),
      kind(.klarna, .swish, currencies: ["SEK"]),
    ]
  }

  private func shop(_ body: (Shop, ScanNetwork, Count) async throws -> Void) async throws {
    let made = Count()
    let clock = TestClock()
    let network = ScanNetwork { clock.now }
    let shop = try await Shop(clock: clock, kinds: { _ in Self.kinds(network, made: made) })
    try await body(shop, network, made)
    await shop.close()
  }

  private func wanted(
    _ settings: [String: String] = ["payee": "123", "key": "k1"], by provider: ProviderName = .swish,
    isOn: Bool = true
  ) -> ReplacePaymentMethod {
    ReplacePaymentMethod(provider: provider, isOn: isOn, capturePolicy: .automatic, settings: settings)
  }

  private func flaws(_ body: () async throws -> Void) async throws -> [String] {
    do {
      try await body()
      return []
    } catch ServiceFailure.invalid(let flaws) {
      return flaws.map(\.path)
    }
  }

  @Test func settingsAreKeptAndSecretsAreSealed() async throws {
    try await shop { shop, _, _ in
      let (service, me) = (shop.service, MerchantActor.backend(shop.backend))
      let views = try await service.paymentMethods(as: me)
      #expect(views.map(\.method) == PaymentMethod.allCases && views.allSatisfy { $0.configured == nil })
      #expect(views.map { $0.kinds.map(\.name) } == [[], [], [.swish, .klarna], [.vipps]])
      #expect(
        try await service.paymentMethod(.swish, as: me).notificationURL
          == "http://localhost/providers/v1/swish/\(shop.backend.merchantID)")

      let secret = "a very secret key"
      _ = try await service.replacePaymentMethod(
        .swish, with: wanted(["payee": "1230", "key": secret]), as: me)
      let stored = try #require(
        try await shop.store.read { try $0.paymentMethods.find(.swish, .swish, of: shop.backend.merchantID) })
      #expect(stored.details.settings == ["payee": "1230"])
      let sealed = try #require(stored.details.sealedSecrets["key"])
      #expect(stored.details.sealedSecrets.count == 1)
      #expect(!String(decoding: sealed, as: UTF8.self).contains(secret) && sealed.count > secret.utf8.count)

      // Left out, a secret stays; an open setting does not.
      #expect(
        try await flaws { _ = try await service.replacePaymentMethod(.swish, with: wanted([:]), as: me) }
          == ["settings.payee"])
      let view = try await service.replacePaymentMethod(.swish, with: wanted(["payee": "1239"]), as: me)
      #expect(view.configured?.version == 2 && view.configured?.details.sealedSecrets.keys.sorted() == ["key"])
      // Empty, it is removed, and then it is missing.
      #expect(
        try await flaws {
          _ = try await service.replacePaymentMethod(.swish, with: wanted(["payee": "1", "key": ""]), as: me)
        } == ["settings.key", "settings.payee"])
      let tooMuch = String(repeating: "x", count: Limits.providerSettingBytesMax + 1)
      for (settings, paths) in [
        (["payee": "9", "key": "k"], ["settings.payee"]),
        (["payee": "123", "key": "k", "kay": "k", "Payee": "1"], ["settings.Payee", "settings.kay"]),
        (["payee": "9", "key": "k", "kay": "k"], ["settings.kay", "settings.payee"]),
        (["payee": tooMuch, "key": "k"], ["settings.payee"]),
      ] {
        #expect(
          try await flaws { _ = try await service.replacePaymentMethod(.swish, with: wanted(settings), as: me) }
            == paths)
      }
      for (method, provider) in [(PaymentMethod.swish, ProviderName.vipps), (.card, .simulated)] {
        #expect(
          try await flaws { _ = try await service.replacePaymentMethod(method, with: wanted(by: provider), as: me) }
            == ["provider"])
      }
      #expect(try await service.paymentMethod(.swish, as: me).configured?.version == 2)

      // What a provider answers to the set-up is kept, sealed where nobody declared it open.
      _ = try await service.subscribePaymentMethod(.swish, as: me)
      let subscribed = try #require(try await service.paymentMethod(.swish, as: me).configured)
      #expect(subscribed.details.settings == ["payee": "1239"])
      #expect(subscribed.details.sealedSecrets.keys.sorted() == ["key", "signing_secret"])
      #expect(try await service.checkPaymentMethod(.swish, as: me).map(\.isSound) == [true])
      #expect(try await failure { _ = try await service.checkPaymentMethod(.vipps, as: me) } == "notFound")

      let types = try await service.auditEntries(before: nil, size: 3, as: shop.backend).entries.map(\.event)
      #expect(types.map(\.type) == [.paymentMethodChanged, .paymentMethodChanged, .paymentMethodCreated])
      #expect(types.map(\.sequence) == [3, 2, 1])
    }
  }

  @Test func phonesAreOfferedWhatCanCollect() async throws {
    try await shop { shop, _, _ in
      let (service, me) = (shop.service, MerchantActor.backend(shop.backend))
      let device = try await shop.pair()
      let id = try await shop.create(on: device)
      func methods(_ id: SessionID) async throws -> [PaymentMethod] {
        let one = try await service.session(id, as: .device(device)).methods
        let inLine = try await service.line(of: device).first { $0.session.id == id }?.methods
        #expect(inLine == nil || inLine == one)
        return one
      }
      #expect(try await methods(id) == [])
      _ = try await service.replacePaymentMethod(.swish, with: wanted(), as: me)
      _ = try await service.replacePaymentMethod(.vipps, with: wanted(by: .vipps), as: me)
      #expect(try await methods(id) == [.swish])
      #expect(try await methods(try await shop.create(on: device, amount: 50_000)) == [])
      #expect(
        try await failure { _ = try await service.startPayment(.vipps, of: id, as: .device(device)) }
          == "methodUnavailable")
      _ = try await service.replacePaymentMethod(.swish, with: wanted(["payee": "123"], isOn: false), as: me)
      #expect(try await methods(id) == [])
      #expect(
        try await failure { _ = try await service.startPayment(.swish, of: id, as: .device(device)) }
          == "methodUnavailable")
    }
  }

  @Test func adaptersAreMadeOncePerVersionAndOldProvidersKeepTheirAttempts() async throws {
    try await shop { shop, network, made in
      let (service, me) = (shop.service, MerchantActor.backend(shop.backend))
      let device = try await shop.pair()
      _ = try await service.replacePaymentMethod(.swish, with: wanted(), as: me)
      let checks = made.value
      let id = try await shop.create(on: device)
      let first = try await service.startPayment(.swish, of: id, as: .device(device)).payment
      for _ in 0..<5 { _ = try await service.settlePayment(first.id, of: id, as: .device(device)) }
      #expect(made.value == checks + 1)
      #expect(first.provider == .swish && first.waitsUntil == first.createdAt.adding(seconds: Limits.scanSecondsMax))
      #expect(try await failure { try await service.deletePaymentMethod(.swish, as: me) } == "paymentMethodInUse")

      // Another provider takes over while an attempt is open, and the method is switched off: it comes to its end.
      _ = try await service.replacePaymentMethod(
        .swish, with: wanted(["payee": "123", "key": "k"], by: .klarna, isOn: false), as: me)
      #expect(try await service.paymentMethod(.swish, as: me).configured?.provider == .klarna)
      #expect(await network.buyer(.approve, of: try await service.charge(of: first)))
      #expect(try await service.settlePayment(first.id, of: id, as: .device(device)).session.state.name == .finalized)

      // Back again: its settings are still there.
      let back = try await service.replacePaymentMethod(.swish, with: wanted(["payee": "123"]), as: me)
      #expect(back.configured?.provider == .swish && back.configured?.version == 3)

      try await shop.rest()
      try await service.deletePaymentMethod(.swish, as: me)
      try await service.deletePaymentMethod(.swish, as: me)
      for provider in [ProviderName.swish, .klarna] {
        let found = try await shop.store.read {
          try $0.paymentMethods.find(.swish, provider, of: shop.backend.merchantID)
        }
        #expect(found == nil)
      }
      #expect(try await service.paymentMethod(.swish, as: me).configured == nil)
    }
  }

  @Test func playgroundsKeepTheirOwnMethodsRight() async throws {
    let clock = TestClock()
    let network = ScanNetwork { clock.now }
    func methods(_ payee: String) -> [BuiltInMethod] {
      [BuiltInMethod(provider: .swish, method: .swish, settings: ["payee": payee, "key": "k"])]
    }
    let shop = try await Shop(clock: clock, kinds: { _ in Self.kinds(network) }, builtIn: methods("1231"))
    let me = MerchantActor.backend(shop.backend)
    func stored(_ service: KassaService) async throws -> ConfiguredMethod? {
      try await service.paymentMethod(.swish, as: me).configured
    }
    #expect(try await stored(shop.service)?.details.settings == ["payee": "1231"])
    // The same at the next start: nothing changes. Other settings: they are brought up to date, and stay as they are on.
    let same = shop.service(kinds: Self.kinds(network), builtIn: methods("1231"))
    _ = try await same.preparePlayground()
    #expect(try await stored(same)?.version == 1)
    _ = try await shop.service.replacePaymentMethod(.vipps, with: wanted(by: .vipps), as: me)
    let moved = shop.service(kinds: Self.kinds(network), builtIn: methods("1232"))
    _ = try await moved.preparePlayground()
    #expect(try await stored(moved)?.version == 2)
    #expect(try await stored(moved)?.details.settings == ["payee": "1232"])
    // What a merchant entered is its own.
    _ = try await moved.replacePaymentMethod(
      .swish, with: wanted(["payee": "1239", "key": "mine"], isOn: false), as: me)
    let later = shop.service(kinds: Self.kinds(network), builtIn: methods("1233"))
    _ = try await later.preparePlayground()
    #expect(try await stored(later)?.details.settings == ["payee": "1239"])
    #expect(try await stored(later)?.details.isBuiltIn == false)
    await shop.close()
  }
}
