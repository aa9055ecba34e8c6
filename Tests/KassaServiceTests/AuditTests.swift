import KassaDomain
import KassaService
import KassaStore
import StoreConformance
import Testing

struct AuditTests {
  /// What an event says, but for its time.
  private struct Line: Equatable {
    let type: EventType
    let sequence: Int64
    let actor: Actor
    let subject: SubjectID
    var related: SubjectID?
    var request: String? = "request"
  }

  private func lines(_ events: [Event]) -> [Line] {
    events.map {
      Line(
        type: $0.type, sequence: $0.sequence, actor: $0.actor, subject: $0.subjectID, related: $0.relatedID,
        request: $0.requestID)
    }
  }

  private func subject<Entity>(_ id: Identifier<Entity>) -> SubjectID { id.of(EventSubject.self) }

  @Test func everyUseCaseAppendsExactlyItsEvents() async throws {
    try await withWorld { world async throws in
      let (service, me) = (world.service, world.principal)
      let backend = Actor.apiKey(world.key.key.id)

      // A merchant, made at the console.
      let (merchant, key) = try await service.createMerchant(name: "Other")
      let other = MerchantPrincipal(merchantID: merchant.id, keyID: key.key.id, requestID: "r")
      let firstLocation = try #require(try await world.store.read { try $0.locations.only(of: merchant.id) })
      let begun = try await service.auditEntries(before: nil, size: 10, as: other).entries.map(\.event)
      #expect(
        lines(begun.reversed()) == [
          Line(
            type: .merchantCreated, sequence: 1, actor: .operatorAtConsole, subject: subject(merchant.id), request: nil),
          Line(
            type: .locationCreated, sequence: 1, actor: .operatorAtConsole, subject: subject(firstLocation.id),
            request: nil),
          Line(
            type: .apiKeyCreated, sequence: 1, actor: .operatorAtConsole, subject: subject(key.key.id), request: nil),
        ])

      // Keys.
      var events = try await world.events { () async throws in
        let mine = try fresh(await service.createAPIKey(name: "mine", as: me))
        let theirs = try await service.createAPIKeyAtConsole(name: "theirs", merchant: world.merchant.id)
        for _ in 0..<2 { try await service.revokeAPIKey(mine.key.id, as: me) }
        for _ in 0..<2 { try await service.revokeAPIKeyAtConsole(theirs.key.id, of: world.merchant.id) }
      }
      #expect(events.map(\.type) == [.apiKeyCreated, .apiKeyCreated, .apiKeyRevoked, .apiKeyRevoked])
      #expect(events.map(\.sequence) == [1, 1, 2, 2])
      #expect(events.map(\.actor) == [backend, .operatorAtConsole, backend, .operatorAtConsole])
      #expect(events.map(\.requestID) == ["request", nil, "request", nil])
      #expect(events[0].subjectID == events[2].subjectID && events[1].subjectID == events[3].subjectID)

      // Locations.
      events = try await world.events { () async throws in
        let location = try fresh(await service.createLocation(Location.Details(name: "Second"), as: me))
        _ = try await service.replaceLocation(location.id, with: Location.Details(name: "2nd"), as: me)
        try await service.deleteLocation(location.id, as: me)
      }
      #expect(events.map(\.type) == [.locationCreated, .locationChanged, .locationDeleted])
      #expect(events.map(\.sequence) == [1, 2, 3])
      #expect(Set(events.map(\.subjectID)).count == 1 && Set(events.map(\.actor)) == [backend])

      // Enrollment and device.
      let created = Shared<ReadableEnrollment?>(nil)
      events = try await world.events { () async throws in
        let enrollment = try await world.create()
        created.withLock { $0 = enrollment }
      }
      let enrollment = try #require(created.withLock { $0 })
      let id = subject(enrollment.enrollment.id)
      #expect(lines(events) == [Line(type: .enrollmentCreated, sequence: 1, actor: backend, subject: id)])

      let registered = Shared<RegisteredDevice?>(nil)
      events = try await world.events { () async throws in
        let device = try await world.register(.code(code(enrollment)), registrationID: "a")
        _ = try await world.register(.code(code(enrollment)), registrationID: "a")
        registered.withLock { $0 = device }
      }
      let paired = try #require(registered.withLock { $0 })
      let device = subject(paired.device.id)
      let holder = Actor.enrollmentCode(enrollment.enrollment.id)
      #expect(
        lines(events) == [
          Line(
            type: .enrollmentConsumed, sequence: 2, actor: holder, subject: id, related: device, request: "registration"
          ),
          Line(type: .devicePaired, sequence: 1, actor: holder, subject: device, related: id, request: "registration"),
        ])

      events = try await world.events { () async throws in
        let changed = Device.Replacement(name: "New", metadata: .empty, locationID: nil)
        for _ in 0..<2 { _ = try await service.replaceDevice(paired.device.id, with: changed, as: me) }
        _ = try await service.authenticateDevice(token: paired.bearerToken, proof: nil, requestID: "r")
        try await service.deleteDevice(paired.device.id, as: me)
      }
      #expect(
        lines(events) == [
          Line(type: .deviceChanged, sequence: 2, actor: backend, subject: device),
          Line(type: .deviceDeleted, sequence: 3, actor: backend, subject: device),
        ])

      // An enrollment that runs out and is deleted.
      events = try await world.events { () async throws in
        let expiring = try await world.create(life: 1000)
        world.clock.advance(seconds: 1)
        for _ in 0..<2 { _ = try await service.expireEnrollments() }
        for _ in 0..<2 { try await world.cancel(expiring) }
      }
      #expect(events.map(\.type) == [.enrollmentCreated, .enrollmentExpired, .enrollmentCancelled])
      #expect(events.map(\.sequence) == [1, 2, 3])
      #expect(events.map(\.actor) == [backend, .system, backend])
      #expect(events.map(\.requestID) == ["request", nil, "request"])
      #expect(events[1].at == world.clock.now)

      // The other merchant heard of nothing.
      #expect(try await service.auditEntries(before: nil, size: 10, as: other).entries.count == 3)
    }
  }

  @Test func entriesAreReadInPages() async throws {
    try await withWorld { world async throws in
      for _ in 0..<12 { _ = try await world.create() }
      let (all, hasMore) = try await world.service.auditEntries(before: nil, size: 15, as: world.principal)
      #expect(all.count == 15 && !hasMore)
      var walked: [LoggedEvent] = []
      while true {
        let (entries, hasMore) = try await world.service.auditEntries(
          before: walked.last?.position, size: 4, as: world.principal)
        walked += entries
        if !hasMore { break }
      }
      #expect(walked == all)
    }
  }

  /// Whatever races, each subject's events are numbered 1, 2, 3 … and the last number is its version.
  @Test func sequencesHaveNoGap() async throws {
    try await withWorld(attemptsPerDay: 1_000_000) { world async throws in
      let (service, me) = (world.service, world.principal)
      _ = try await racing(40) { number in
        let enrollment = try await world.create(life: number.isMultiple(of: 4) ? 1000 : 7_200_000)
        let proof = try token(enrollment)
        if number.isMultiple(of: 4) { world.clock.advance(milliseconds: 500) }
        async let cancelled = failure { try await world.cancel(enrollment) }
        async let swept = service.expireEnrollments()
        async let again = failure { try await world.cancel(enrollment) }
        if let paired = try? await world.register(.token(proof)) {
          for name in ["a", "b", "c"] {
            let replacement = Device.Replacement(name: name, metadata: .empty, locationID: nil)
            async let one = failure { _ = try await service.replaceDevice(paired.device.id, with: replacement, as: me) }
            async let two = failure { _ = try await service.replaceDevice(paired.device.id, with: replacement, as: me) }
            _ = try await (one, two)
          }
          if number.isMultiple(of: 3) { try await service.deleteDevice(paired.device.id, as: me) }
        }
        _ = try await (cancelled, swept, again)
      }
      let events = try await service.auditEntries(before: nil, size: 10_000, as: me).entries.map(\.event)
      let bySubject = Dictionary(grouping: events, by: \.subjectID)
      for (_, events) in bySubject { #expect(events.map(\.sequence) == (1...Int64(events.count)).reversed()) }
      let page = PageRequest(number: 0, size: 1000)
      for device in try await service.devices(DeviceFilter(), page, as: me).content {
        #expect(bySubject[subject(device.id)]?.count == Int(device.version))
      }
      for enrollment in try await service.enrollments(EnrollmentFilter(), page, as: me).content {
        #expect(bySubject[subject(enrollment.enrollment.id)]?.count == Int(enrollment.enrollment.version))
      }
    }
  }
}
