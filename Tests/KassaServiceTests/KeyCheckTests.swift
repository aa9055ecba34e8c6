import KassaDomain
import KassaService
import KassaStore
import StoreConformance
import Testing

/// Keys that a server knows from before are checked by the transactions of what they ask for.
struct KeyCheckTests {
  private func known(_ key: String, by service: KassaService) async throws -> KeyCheck {
    _ = try await service.authenticateMerchant(key: key, username: nil, requestID: "r")
    return try #require(service.recognizeMerchant(key: key, username: nil, requestID: "r"))
  }

  private func enrollments(_ service: KassaService, _ principal: MerchantPrincipal) async throws -> Int64 {
    try await service.enrollments(
      EnrollmentFilter(), PageRequest(number: 0, size: 1), as: principal
    ).totalElements
  }

  private func create(_ service: KassaService, _ principal: MerchantPrincipal) async throws {
    let input = CreateEnrollment(metadata: .empty, lifeMilliseconds: 60_000, locationID: nil)
    _ = try await service.createEnrollment(input, as: principal)
  }

  @Test func onlyAKeyThatWasFoundIsRecognized() async throws {
    try await withWorld { world async throws in
      let (service, key) = (world.service, world.key.text)
      func isRecognized(_ key: String, _ username: String? = nil) -> Bool {
        service.recognizeMerchant(key: key, username: username, requestID: "r") != nil
      }
      #expect(!isRecognized(key))
      let check = try await known(key, by: service)
      #expect(check.principal.merchantID == world.merchant.id && check.principal.keyID == world.key.key.id)
      #expect(isRecognized(key, world.merchant.id.description) && isRecognized(key, "\(world.merchant.id)-till"))
      #expect(!isRecognized(key, "somebody") && !isRecognized(key + "x") && !isRecognized(String(key.dropLast())))
      try await create(check.service, check.principal)
      #expect(try await enrollments(check.service, check.principal) == 1)
      try await check.finish()
    }
  }

  /// Revoked by another server, which the one that knows the key hears nothing from.
  @Test func aKnownKeyEndsAtOnceWhoeverRevokesIt() async throws {
    try await withWorld { world async throws in
      let other = world.service(world.service.settings)
      let (reading, writing, idle) = (
        try await known(world.key.text, by: world.service), try await known(world.key.text, by: world.service),
        try await known(world.key.text, by: world.service)
      )
      try await create(writing.service, writing.principal)
      try await other.revokeAPIKeyAtConsole(world.key.key.id, of: world.merchant.id)

      #expect(try await failure { _ = try await enrollments(reading.service, reading.principal) } == "unauthorized")
      #expect(try await failure { try await create(writing.service, writing.principal) } == "unauthorized")
      #expect(try await failure { try await idle.finish() } == "unauthorized")
      #expect(world.service.recognizeMerchant(key: world.key.text, username: nil, requestID: "r") == nil)
      // The control: without the check both would be done. Nothing was, before.
      #expect(try await enrollments(world.service, world.principal) == 1)
      try await create(world.service, world.principal)
      #expect(try await enrollments(world.service, world.principal) == 2)
    }
  }

  /// Many at once with one that is revoked among them: each is refused or done by its own key.
  @Test func aRevokedKeyHarmsNobodyInTheSameTransaction() async throws {
    try await withWorld { world async throws in
      let second = try fresh(await world.service.createAPIKey(name: "Second", as: world.principal))
      let revoked = try await known(second.text, by: world.service)
      let good = try await known(world.key.text, by: world.service)
      try await world.service.revokeAPIKey(second.key.id, as: world.principal)
      let answers = try await racing(60) { number in
        let check = number % 3 == 0 ? revoked : good
        return try await failure { try await create(check.service, check.principal) }
      }
      for (number, answer) in answers.enumerated() {
        #expect(answer == (number % 3 == 0 ? "unauthorized" : "none"))
      }
      #expect(try await enrollments(world.service, world.principal) == 40)
    }
  }
}
