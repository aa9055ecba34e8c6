import KassaDomain
import KassaService
import KassaStore
import StoreConformance
import Testing

struct EnrollmentTests {
  private let page = PageRequest(number: 0, size: 100)

  @Test func goesToTheOnlyLocationUnlessOneIsNamed() async throws {
    try await withWorld { world async throws in
      #expect(try await world.create().enrollment.locationID == world.location.id)
      let second = try fresh(
        await world.service.createLocation(Location.Details(name: "Second"), as: world.principal))
      for location in [world.location, second] {
        #expect(try await world.create(at: location.id).enrollment.locationID == location.id)
      }

      let several = try await flaws { _ = try await world.create() }
      #expect(several.map(\.path) == ["location_id"])
      // Codes live at both: they must go before the locations can.
      for enrollment in try await world.service.enrollments(EnrollmentFilter(), page, as: world.principal).content {
        try await world.cancel(enrollment)
      }
      try await world.service.deleteLocation(second.id, as: world.principal)
      #expect(try await world.create().enrollment.locationID == world.location.id)
      let listed = try await world.service.enrollments(EnrollmentFilter(), page, as: world.principal)
      try await world.cancel(try #require(listed.content.first))
      try await world.service.deleteLocation(world.location.id, as: world.principal)
      #expect(try await flaws { _ = try await world.create() } == several)
    }
  }

  @Test func unknownAndForeignLocationsAreRefusedAlike() async throws {
    try await withWorld { world async throws in
      let (other, _) = try await world.service.createMerchant(name: "Other")
      let foreign = try #require(try await world.store.read { try $0.locations.only(of: other.id) })
      let unknown = try await flaws { _ = try await world.create(at: Maker().id()) }
      #expect(unknown.map(\.path) == ["location_id"])
      #expect(try await flaws { _ = try await world.create(at: foreign.id) } == unknown)
      let listed = try await world.service.enrollments(EnrollmentFilter(), page, as: world.principal)
      #expect(listed.totalElements == 0)
    }
  }

  @Test func codesAreTypedUpToTwoHoursAndUUIDsBeyond() async throws {
    try await withWorld { world async throws in
      for (life, symbols) in [(1000, 8), (7_200_000, 8), (7_200_001, 0), (259_200_000, 0)] as [(Int64, Int)] {
        let created = try await world.create(life: life)
        let code = try #require(EnrollmentCode(typed: try code(created)))
        #expect(code.typedSymbols == symbols)
        #expect(code.text == created.code, "it is shown in its canonical form")
        #expect(created.enrollment.expiresAt == world.clock.now.adding(milliseconds: life))
        #expect(created.enrollment.createdAt == world.clock.now)
        #expect(created.status == .pending)
        let paired = try await world.register(.code(try self.code(created)))
        #expect(paired.device.enrollmentID == created.enrollment.id)
      }
    }
  }

  private func code(_ enrollment: ReadableEnrollment) throws -> String { try #require(enrollment.code) }

  @Test func codeAndLinkAreReadableOnlyWhilePending() async throws {
    try await withWorld { world async throws in
      let created = try await world.create()
      let listed = try await world.service.enrollments(EnrollmentFilter(), page, as: world.principal)
      for read in [try await world.read(created), try #require(listed.content.first)] {
        #expect(read.code == created.code && read.url == created.url && read.status == .pending)
        #expect(read.enrollment == created.enrollment)
      }
      #expect(try token(created).utf8.count == 22)

      func expectHidden(_ enrollment: ReadableEnrollment, _ status: Enrollment.StateName) async throws {
        let read = try await world.read(enrollment)
        #expect(read.status == status)
        #expect(read.code == nil && read.url == nil)
        for listed in try await world.service.enrollments(EnrollmentFilter(), page, as: world.principal).content
        where listed.enrollment.id == enrollment.enrollment.id {
          #expect(listed.status == status && listed.code == nil && listed.url == nil)
        }
      }
      _ = try await world.register(.code(try code(created)))
      try await expectHidden(created, .consumed)

      let cancelled = try await world.create()
      try await world.cancel(cancelled)
      try await expectHidden(cancelled, .cancelled)

      let expiring = try await world.create(life: 1000)
      world.clock.advance(milliseconds: 999)
      #expect(try await world.read(expiring).code == expiring.code)
      world.clock.advance(milliseconds: 1)
      try await expectHidden(expiring, .expired)
      #expect(try await world.service.expireEnrollments() == 1)
      try await expectHidden(expiring, .expired)
    }
  }

  @Test func cancellingIsSoftAndRepeatable() async throws {
    try await withWorld { world async throws in
      let pending = try await world.create()
      #expect(try await world.events { try await world.cancel(pending) }.map(\.type) == [.enrollmentCancelled])
      #expect(try await world.events { try await world.cancel(pending) } == [])
      #expect(try await world.read(pending).status == .cancelled)

      for isSwept in [true, false] {
        let expired = try await world.create(life: 1000)
        world.clock.advance(seconds: 1)
        if isSwept { #expect(try await world.service.expireEnrollments() == 1) }
        try await world.cancel(expired)
        #expect(try await world.read(expired).status == .cancelled)
      }

      let consumed = try await world.create()
      _ = try await world.register(.token(try token(consumed)))
      let events = try await world.events { () async throws in
        #expect(try await failure { try await world.cancel(consumed) } == "enrollmentConsumed")
      }
      #expect(events == [])
      #expect(try await world.read(consumed).status == .consumed)
    }
  }

  @Test func listsNeitherCancelledNorForeignOnes() async throws {
    try await withWorld { world async throws in
      let (other, key) = try await world.service.createMerchant(name: "Other")
      let stranger = MerchantPrincipal(merchantID: other.id, keyID: key.key.id, requestID: "r")
      let foreign = try await world.create(as: stranger)
      let (pending, consumed, cancelled, expired) = (
        try await world.create(), try await world.create(), try await world.create(), try await world.create(life: 1000)
      )
      _ = try await world.register(.token(try token(consumed)))
      try await world.cancel(cancelled)
      world.clock.advance(seconds: 1)
      func listed(_ filter: EnrollmentFilter) async throws -> Set<EnrollmentID> {
        Set(try await world.service.enrollments(filter, page, as: world.principal).content.map(\.enrollment.id))
      }
      let ids = [pending, consumed, expired].map(\.enrollment.id)
      #expect(try await listed(EnrollmentFilter()) == Set(ids))
      #expect(try await listed(EnrollmentFilter(includesConsumed: false)) == [ids[0], ids[2]])
      #expect(try await failure { _ = try await world.read(foreign) } == "notFound")
      #expect(try await failure { try await world.cancel(foreign) } == "notFound")
      #expect(
        try await failure { _ = try await world.service.enrollment(Maker().id(), as: world.principal) } == "notFound")
    }
  }

  /// 2^20 attempts a day allow one live code of 8 symbols; the second needs 9, and from then on each as many as hold.
  @Test func codesGrowWithTheLiveOnes() async throws {
    try await withWorld(attemptsPerDay: 1 << 20) { world async throws in
      var lengths: [Int] = []
      for _ in 0..<40 {
        let created = try await world.create()
        lengths.append(try code(created).utf8.count - 1)
        let report = try await world.service.codeSecurity()
        #expect(report.boundHolds && report.attemptsPerDay == 1 << 20)
      }
      #expect(lengths == [8] + [Int](repeating: 9, count: 31) + [Int](repeating: 10, count: 8))
    }
  }

  // MARK: Sweeping

  @Test func sweepingExpiresWhatIsDueAndErasesItsCode() async throws {
    try await withWorld { world async throws in
      let (due, later) = (try await world.create(life: 1000), try await world.create())
      #expect(try await world.service.expireEnrollments() == 0)
      world.clock.advance(seconds: 1)
      let events = try await world.events { () async throws in
        #expect(try await world.service.expireEnrollments() == 1)
      }
      #expect(events.map(\.type) == [.enrollmentExpired])
      #expect(events.map(\.subjectID) == [due.enrollment.id.of(EventSubject.self)])
      #expect(try await world.read(due).enrollment.state == .expired)
      #expect(try await world.read(later).status == .pending)
      #expect(try await world.service.expireEnrollments() == 0)

      let sealed = try #require(due.enrollment.code)
      #expect(try await world.store.write { try $0.enrollments.findPending(codeHash: sealed.codeHash) } == nil)
      #expect(try await world.store.write { try $0.enrollments.findPending(tokenHash: sealed.tokenHash) } == nil)
      #expect(try await world.store.read { try $0.enrollments.liveCodes() } == [8: 1])
    }
  }

  @Test func oneSweepTakesSoMany() async throws {
    try await withWorld { world async throws in
      _ = try await racing(250) { _ in try await world.create(life: 1000).enrollment.id }
      world.clock.advance(seconds: 1)
      #expect(try await world.service.expireEnrollments() == Limits.sweepRowsMax)
      #expect(try await world.service.expireEnrollments() == 50)
      #expect(try await world.service.expireEnrollments() == 0)
    }
  }

  @Test func recordsWhoseTimeIsOverAreForgotten() async throws {
    try await withWorld { world async throws in
      _ = try await world.register(.token(try token(try await world.create())), registrationID: "1")
      _ = try await world.refusal(of: .code(wrongCode()))
      #expect(try await world.service.forgetExpiredRecords() == 0)
      world.clock.advance(seconds: Limits.registrationReplaySeconds)
      #expect(try await world.service.forgetExpiredRecords() == 2, "the replay, and the source's minute")
      world.clock.advance(seconds: 86_400)
      #expect(try await world.service.forgetExpiredRecords() == 1, "the deployment's day")
    }
  }
}
