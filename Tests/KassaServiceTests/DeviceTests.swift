import KassaDomain
import KassaService
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

struct DeviceTests {
  private func authenticate(
    _ paired: RegisteredDevice, _ proof: CheckedProof? = nil, with service: KassaService
  ) async throws -> Device {
    try await service.authenticateDevice(token: paired.bearerToken, proof: proof, requestID: "r").device
  }

  @Test func anUnknownTokenIsRefused() async throws {
    try await withWorld { world async throws in
      let paired = try await world.pair()
      let token = paired.bearerToken
      for wrong in [
        "", "kassa_test_device_", token + "x", String(token.dropLast()), token.uppercased(), " " + token,
        token.replacing("kassa_test_", with: "kassa_live_"), world.key.text,
      ] {
        let answer = try await failure {
          _ = try await world.service.authenticateDevice(token: wrong, proof: nil, requestID: "r")
        }
        #expect(answer == "unauthorized", "\(wrong)")
      }
      #expect(try await authenticate(paired, with: world.service).id == paired.device.id)
    }
  }

  @Test func aDeletedDeviceIsRefusedAtOnceOnEveryServer() async throws {
    try await withWorld { world async throws in
      // A second server on the same database.
      let secondStore = try TestDatabase(path: world.path).open()
      let second = KassaService(
        store: secondStore, secrets: world.secrets, environment: .playground, settings: world.service.settings,
        clock: { [clock = world.clock] in clock.now })
      for key in [nil, [1, 2, 3]] as [[UInt8]?] {
        let paired = try await world.pair(key: key)
        @Sendable func proof(_ identifier: String) -> CheckedProof? {
          key.map { CheckedProof(keyThumbprint: $0, identifier: identifier) }
        }
        _ = try await authenticate(paired, proof("1"), with: world.service)
        _ = try await authenticate(paired, proof("2"), with: second)
        try await world.service.deleteDevice(paired.device.id, as: world.principal)
        for service in [world.service, second] {
          #expect(try await failure { _ = try await authenticate(paired, proof("3"), with: service) } == "unauthorized")
        }
        #expect(
          try await failure { try await world.service.deleteDevice(paired.device.id, as: world.principal) }
            == "notFound")
        #expect(
          try await failure { _ = try await world.service.device(paired.device.id, as: world.principal) } == "notFound")
      }
      await secondStore.close()
    }
  }

  // MARK: Proof of possession

  @Test func aDeviceWithAKeyMustProveItAndOneWithoutMustNot() async throws {
    try await withWorld { world async throws in
      let (bare, keyed) = (try await world.pair(), try await world.pair(key: [1, 2, 3]))
      let (right, wrong) = (
        CheckedProof(keyThumbprint: [1, 2, 3], identifier: "a"), CheckedProof(keyThumbprint: [9], identifier: "a")
      )
      #expect(try await authenticate(bare, with: world.service).id == bare.device.id)
      #expect(try await failure { _ = try await authenticate(bare, right, with: world.service) } == "proofInvalid")
      #expect(try await failure { _ = try await authenticate(keyed, with: world.service) } == "proofInvalid")
      #expect(try await failure { _ = try await authenticate(keyed, wrong, with: world.service) } == "proofInvalid")
      #expect(
        try await authenticate(keyed, right, with: world.service).id == keyed.device.id,
        "a proof by another key did not use up the identifier")
      #expect(try await failure { _ = try await authenticate(keyed, right, with: world.service) } == "proofInvalid")
    }
  }

  @Test func aProofServesOnceAndPerDevice() async throws {
    try await withWorld { world async throws in
      let devices = [try await world.pair(key: [1]), try await world.pair(key: [1])]
      for device in devices {
        for identifier in ["a", "b", "\u{e9}", "e\u{301}"] {
          let proof = CheckedProof(keyThumbprint: [1], identifier: identifier)
          let answers = try await racing(20) { _ in
            try await failure { _ = try await authenticate(device, proof, with: world.service) }
          }
          #expect(answers.count { $0 == "none" } == 1)
          #expect(answers.count { $0 == "proofInvalid" } == 19)
        }
      }
      // It is remembered for longer than any server accepts it, and then forgotten.
      let remembered = 2 * Limits.proofAgeSecondsMax
      world.clock.advance(seconds: remembered)
      _ = try await world.service.forgetExpiredRecords()
      let proof = CheckedProof(keyThumbprint: [1], identifier: "a")
      #expect(
        try await failure { _ = try await authenticate(devices[0], proof, with: world.service) } == "proofInvalid")
      world.clock.advance(seconds: 1)
      #expect(try await world.service.forgetExpiredRecords() == 8)
    }
  }

  @Test func beingSeenIsNotedNowAndThen() async throws {
    try await withWorld { world async throws in
      let paired = try await world.pair()
      let start = world.clock.now
      func seen() async throws -> Timestamp? {
        _ = try await authenticate(paired, with: world.service)
        return try await world.service.device(paired.device.id, as: world.principal).lastSeenAt
      }
      #expect(try await seen() == start)
      world.clock.advance(milliseconds: 14_999)
      #expect(try await seen() == start)
      world.clock.advance(milliseconds: 1)
      #expect(try await seen() == start.adding(seconds: 15))
      let device = try await world.service.device(paired.device.id, as: world.principal)
      #expect(device.version == 1)
      #expect(device.isOnline(at: start.adding(milliseconds: 74_999)))
      #expect(!device.isOnline(at: start.adding(seconds: 75)))
    }
  }

  // MARK: Changing

  @Test func replacingNeedsAKnownDeviceAndLocation() async throws {
    try await withWorld { world async throws in
      let paired = try await world.pair()
      let (other, _) = try await world.service.createMerchant(name: "Other")
      let foreign = try #require(try await world.store.read { try $0.locations.only(of: other.id) })
      func replace(_ id: DeviceID, at location: LocationID?) async throws {
        let replacement = Device.Replacement(name: nil, metadata: .empty, locationID: location)
        _ = try await world.service.replaceDevice(id, with: replacement, as: world.principal)
      }
      let unknown = try await flaws { try await replace(paired.device.id, at: Maker().id()) }
      #expect(unknown.map(\.path) == ["location_id"])
      #expect(try await flaws { try await replace(paired.device.id, at: foreign.id) } == unknown)
      #expect(try await failure { try await replace(Maker().id(), at: nil) } == "notFound")
      #expect(try await world.service.device(paired.device.id, as: world.principal) == paired.device)
      try await replace(paired.device.id, at: nil)
      let detached = try await world.service.device(paired.device.id, as: world.principal)
      #expect(detached.locationID == nil && detached.name == "Till" && detached.version == 2)
    }
  }
}
