import KassaDomain
import KassaService
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

struct InstallationTests {
  private func service(
    on store: any Store, _ environment: KassaEnvironment = .playground, key: UInt8 = 7
  ) throws -> KassaService {
    let secrets = try #require(ServerSecrets(masterKey: [UInt8](repeating: key, count: 32)))
    return KassaService(
      store: store, secrets: secrets, environment: environment,
      settings: ServiceSettings(publicURL: { "https://kassa.example" }), clock: { Maker.epoch })
  }

  private func mismatch(_ service: KassaService) async throws -> String {
    do {
      try await service.claimInstallation()
      return "none"
    } catch let mismatch as InstallationMismatch {
      switch mismatch {
      case .environment(let stored): return "environment \(stored)"
      case .secretKey: return "secret key"
      }
    }
  }

  @Test func aDatabaseBelongsToOneEnvironmentAndKey() async throws {
    for environment in KassaEnvironment.allCases {
      try await withTemporaryFolder { folder async throws in
        let store = try TestDatabase(path: folder.newDatabasePath()).open()
        let other: KassaEnvironment = environment == .production ? .playground : .production
        #expect(try await KassaService.environment(of: store) == nil)
        for _ in 0..<2 { #expect(try await mismatch(service(on: store, environment)) == "none") }
        #expect(try await KassaService.environment(of: store) == environment)
        #expect(try await mismatch(service(on: store, other)) == "environment \(environment)")
        #expect(try await mismatch(service(on: store, environment, key: 8)) == "secret key")
        #expect(try await mismatch(service(on: store, other, key: 8)) == "environment \(environment)")
        #expect(try await mismatch(service(on: store, environment)) == "none")
        await store.close()
      }
    }
  }

  @Test func claimsThatRaceAgree() async throws {
    try await withTemporaryFolder { folder async throws in
      let store = try TestDatabase(path: folder.newDatabasePath()).open()
      let answers = try await racing(20) { number in
        try await mismatch(service(on: store, number.isMultiple(of: 2) ? .production : .playground))
      }
      let stored = try #require(try await KassaService.environment(of: store))
      #expect(answers.count { $0 == "none" } == 10)
      #expect(answers.count { $0 == "environment \(stored)" } == 10)
      await store.close()
    }
  }

  @Test func thePlaygroundKeepsItsKeyOverARestart() async throws {
    try await withTemporaryFolder { folder async throws in
      let path = folder.newDatabasePath()
      var keys: Set<String> = []
      for _ in 0..<3 {
        let store = try TestDatabase(path: path).open()
        let service = try service(on: store)
        try await service.claimInstallation()
        let answers = try await racing(5) { _ in try await service.preparePlayground() }
        keys.formUnion(answers.map(\.apiKey))
        let principal = try await service.authenticateMerchant(key: answers[0].apiKey, username: nil, requestID: "r")
        #expect(Set(answers.map(\.merchant)) == [principal.merchantID])
        #expect(try await service.merchants().map(\.id) == [principal.merchantID])
        await store.close()
      }
      #expect(keys.count == 1)

      let store = try TestDatabase(path: path).open()
      await #expect(throws: StoreError.self) { _ = try await service(on: store, key: 8).preparePlayground() }
      await store.close()
    }
  }

  @Test func aMasterKeyHas32Bytes() {
    for count in [0, 1, 16, 31, 33, 64] {
      #expect(ServerSecrets(masterKey: [UInt8](repeating: 1, count: count)) == nil)
    }
  }

  // MARK: Merchants' keys

  @Test func aMerchantIsKnownByItsKeyAndRightUsername() async throws {
    try await withWorld { world async throws in
      let (id, key) = (world.merchant.id.description, world.key.text)
      func answer(_ key: String, _ username: String?) async throws -> String {
        try await failure {
          let found = try await world.service.authenticateMerchant(key: key, username: username, requestID: "r")
          #expect(found.merchantID == world.merchant.id && found.keyID == world.key.key.id)
        }
      }
      for username in [nil, "", id, id.uppercased(), "\(id)-till", "\(id)--"] {
        #expect(try await answer(key, username) == "none")
      }
      for username in ["\(id)-", "\(id)x", "\(id) ", " \(id)", "x", Maker().id(Merchant.self).description, "-\(id)"] {
        #expect(try await answer(key, username) == "unauthorized", "\(username)")
      }
      for wrong in ["", key + "x", String(key.dropLast()), key.replacing("_test_", with: "_live_"), key.uppercased()] {
        #expect(try await answer(wrong, nil) == "unauthorized")
      }
      try await world.service.revokeAPIKey(world.key.key.id, as: world.principal)
      #expect(try await answer(key, nil) == "unauthorized")
    }
  }

  @Test func anEnvironmentRefusesTheOthersKeys() async throws {
    try await withWorld(environment: .production) { world async throws in
      #expect(world.key.text.hasPrefix("kassa_live_api_"))
      let paired = try await world.pair()
      #expect(paired.bearerToken.hasPrefix("kassa_live_device_"))
      let playground = try service(on: world.store, .playground)
      #expect(
        try await failure {
          _ = try await playground.authenticateMerchant(key: world.key.text, username: nil, requestID: "r")
        } == "unauthorized")
      #expect(
        try await failure {
          _ = try await playground.authenticateDevice(token: paired.bearerToken, proof: nil, requestID: "r")
        } == "unauthorized")
    }
  }

  // MARK: Locations

  @Test func aLocationInUseStays() async throws {
    try await withWorld { world async throws in
      func delete() async throws -> String {
        try await failure { try await world.service.deleteLocation(world.location.id, as: world.principal) }
      }
      let pending = try await world.create()
      #expect(try await delete() == "locationInUse")
      let paired = try await world.register(.token(try token(pending)))
      #expect(try await delete() == "locationInUse")
      try await world.service.deleteDevice(paired.device.id, as: world.principal)
      _ = try await world.create(life: 1000)
      world.clock.advance(milliseconds: 999)
      #expect(try await delete() == "locationInUse")
      world.clock.advance(milliseconds: 1)
      #expect(try await delete() == "none")
      #expect(try await delete() == "notFound")
    }
  }
}
