import KassaDomain
import KassaService
import KassaStore
import StoreConformance
import Testing

struct IdempotencyTests {
  private func request(
    key: String = "key", body: [UInt8] = [1], operation: String = "POST /ipp/v1/enrollments"
  ) -> IdempotentRequest<ReadableEnrollment> {
    IdempotentRequest(operation: operation, key: key, bodyHash: body, render: Self.render)
  }

  @Sendable private static func render(_ created: ReadableEnrollment) -> RenderedAnswer {
    RenderedAnswer(status: 201, body: Array("\(created.enrollment.id) \(created.code ?? "")".utf8))
  }

  private func create(
    _ once: IdempotentRequest<ReadableEnrollment>, at location: LocationID? = nil, as principal: MerchantPrincipal,
    in world: World
  ) async throws -> Answered<ReadableEnrollment> {
    let input = CreateEnrollment(metadata: .empty, lifeMilliseconds: 7_200_000, locationID: location)
    return try await world.service.createEnrollment(input, as: principal, once: once)
  }

  private func replayed<Output>(_ answered: Answered<Output>) -> RenderedAnswer? {
    if case .replayed(let answer) = answered { answer } else { nil }
  }

  @Test func theSameAgainGetsTheFirstAnswerForThirtyDays() async throws {
    try await withWorld { world async throws in
      let first = try fresh(await create(request(), as: world.principal, in: world))
      let answer = Self.render(first)
      try await world.cancel(first)
      let events = try await world.events { () async throws in
        for milliseconds in [0, 1, 30 * 86_400_000 - 2] as [Int64] {
          world.clock.advance(milliseconds: milliseconds)
          #expect(replayed(try await create(request(), as: world.principal, in: world)) == answer)
        }
      }
      #expect(events == [])
      world.clock.advance(milliseconds: 1)
      let second = try fresh(await create(request(), as: world.principal, in: world))
      #expect(second.enrollment.id != first.enrollment.id)
      #expect(replayed(try await create(request(), as: world.principal, in: world)) == Self.render(second))
    }
  }

  @Test func anotherBodyIsRefused() async throws {
    try await withWorld { world async throws in
      _ = try await create(request(), as: world.principal, in: world)
      let events = try await world.events { () async throws in
        let answer = try await failure { _ = try await create(request(body: [2]), as: world.principal, in: world) }
        #expect(answer == "idempotencyKeyReused")
      }
      #expect(events == [])
    }
  }

  @Test func keysOfOthersAndOtherOperationsAreApart() async throws {
    try await withWorld { world async throws in
      let (other, key) = try await world.service.createMerchant(name: "Other")
      let stranger = MerchantPrincipal(merchantID: other.id, keyID: key.key.id, requestID: "r")
      let answers = [
        try await create(request(), as: world.principal, in: world),
        try await create(request(), as: stranger, in: world),
        try await create(request(key: "Key"), as: world.principal, in: world),
        try await create(request(operation: "POST /other"), as: world.principal, in: world),
      ]
      #expect(Set(try answers.map { try fresh($0).enrollment.id }).count == 4)
      // Another key of the same merchant shares the scope.
      let second = try fresh(await world.service.createAPIKey(name: "second", as: world.principal))
      let colleague = MerchantPrincipal(merchantID: world.merchant.id, keyID: second.key.id, requestID: "r")
      #expect(replayed(try await create(request(), as: colleague, in: world)) != nil)
    }
  }

  @Test func refusalsAreNotStored() async throws {
    try await withWorld { world async throws in
      let extra = try fresh(await world.service.createLocation(Location.Details(name: "Extra"), as: world.principal))
      for _ in 0..<2 {
        #expect(try await failure { _ = try await create(request(), as: world.principal, in: world) } == "invalid")
      }
      try await world.service.deleteLocation(extra.id, as: world.principal)
      _ = try fresh(await create(request(), as: world.principal, in: world))
    }
  }

  @Test func whatRacesIsDoneOnce() async throws {
    try await withWorld { world async throws in
      for round in 0..<10 {
        let request = request(key: "\(round)")
        let answers = try await racing(50) { _ in try await create(request, as: world.principal, in: world) }
        let first = answers.compactMap { try? fresh($0) }
        #expect(first.count == 1)
        let expected = Self.render(try #require(first.first))
        #expect(answers.compactMap { replayed($0) } == [RenderedAnswer](repeating: expected, count: 49))
      }
      let listed = try await world.service.enrollments(
        EnrollmentFilter(), PageRequest(number: 0, size: 1), as: world.principal)
      #expect(listed.totalElements == 10)
      // The control: without the key each of them is done.
      _ = try await racing(50) { _ in try await world.create().enrollment.id }
      let after = try await world.service.enrollments(
        EnrollmentFilter(), PageRequest(number: 0, size: 1), as: world.principal)
      #expect(after.totalElements == 60)
    }
  }

  @Test func theStoredAnswerIsSealed() async throws {
    try await withWorld { world async throws in
      let once = IdempotentRequest<CreatedAPIKey>(operation: "POST /portal/v1/api-keys", key: "k", bodyHash: [1]) {
        RenderedAnswer(status: 201, body: Array($0.text.utf8))
      }
      let created = try fresh(await world.service.createAPIKey(name: "n", as: world.principal, once: once))
      let again = try await world.service.createAPIKey(name: "n", as: world.principal, once: once)
      #expect(replayed(again) == RenderedAnswer(status: 201, body: Array(created.text.utf8)))
      let scope = IdempotencyScope(merchantID: world.merchant.id, operation: "POST /portal/v1/api-keys", key: "k")
      let record = try await world.store.write { try $0.idempotency.find(scope, at: Maker.epoch) }
      let sealed = try #require(record).sealedBody
      #expect(sealed.count == created.text.utf8.count + 12 + 16)
      #expect(!String(decoding: sealed, as: UTF8.self).contains("kassa_test_api_"))
    }
  }

  @Test func locationsAreMadeOnceToo() async throws {
    try await withWorld { world async throws in
      let once = IdempotentRequest<Location>(operation: "POST /portal/v1/locations", key: "k", bodyHash: [1]) {
        RenderedAnswer(status: 201, body: $0.id.textBytes)
      }
      let details = Location.Details(name: "Second")
      let created = try fresh(await world.service.createLocation(details, as: world.principal, once: once))
      let again = try await world.service.createLocation(details, as: world.principal, once: once)
      #expect(replayed(again)?.body == created.id.textBytes)
      let listed = try await world.service.locations(PageRequest(number: 0, size: 9), as: world.principal)
      #expect(listed.totalElements == 2)
    }
  }
}
