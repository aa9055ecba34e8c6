import KassaDomain
import KassaService
import KassaStore
import StoreConformance
import Testing

struct RegistrationTests {
  @Test func readsTheCodeInEveryFoldedForm() async throws {
    let foldings: [(String, @Sendable (String) -> String)] = [
      ("as written", { $0 }),
      ("lower case", { $0.lowercased() }),
      ("O for 0", { $0.replacing("0", with: "O") }),
      ("o for 0", { $0.replacing("0", with: "o") }),
      ("I for 1", { $0.replacing("1", with: "I") }),
      ("l for 1", { $0.replacing("1", with: "l") }),
      ("in groups", { "\($0.prefix(3))-\($0.dropFirst(3).prefix(3)) \($0.dropFirst(6))" }),
      ("surrounded", { "  -\($0)- " }),
    ]
    try await withWorld { world async throws in
      for (name, folded) in foldings {
        // A code that has both symbols with other readings.
        var created = try await world.create()
        while !(try code(created).contains("0") && code(created).contains("1")) { created = try await world.create() }
        let paired = try await world.register(.code(folded(try code(created))))
        #expect(paired.device.enrollmentID == created.enrollment.id, "\(name)")
      }
      let long = try await world.create(life: 7_200_001)
      let paired = try await world.register(.code(try code(long).uppercased()))
      #expect(paired.device.enrollmentID == long.enrollment.id)
    }
  }

  @Test func theDeviceIsMadeFromTheEnrollmentAndTheRequest() async throws {
    try await withWorld { world async throws in
      let metadata = try Maker().metadata(["store_id": "123"])
      let created = try await world.create(metadata: metadata)
      world.clock.advance(seconds: 9)
      let paired = try await world.register(.token(try token(created)), hardwareID: "hw-7", platform: .terminal)
      let device = paired.device
      #expect(device.hardwareID == "hw-7" && device.platform == .terminal && device.name == "Till")
      #expect(device.metadata == metadata && device.locationID == world.location.id)
      #expect(device.merchantID == world.merchant.id && device.enrollmentID == created.enrollment.id)
      #expect(device.createdAt == world.clock.now && device.lastSeenAt == world.clock.now && device.version == 1)
      #expect(paired.bearerToken.hasPrefix("kassa_test_device_"))
      #expect(try await world.service.device(device.id, as: world.principal) == device)
      #expect(try await world.read(created).enrollment.state == .consumed(device: device.id))
      let seen = try await world.service.authenticateDevice(token: paired.bearerToken, proof: nil, requestID: "r")
      #expect(seen.device == device)
    }
  }

  @Test func everyReasonNotToPairIsAnsweredAlike() async throws {
    try await withWorld { world async throws in
      let (used, cancelled, expired, swept) = (
        try await world.create(), try await world.create(), try await world.create(life: 1000),
        try await world.create(life: 1000)
      )
      let longExpired = try await world.create(life: 7_200_001)
      _ = try await world.register(.code(try code(used)))
      try await world.cancel(cancelled)
      world.clock.advance(seconds: 1)
      while try await world.service.expireEnrollments() > 0 {}
      let justExpired = try await world.create(life: 1000)
      world.clock.advance(seconds: 7201)
      let live = try await world.create()
      let swapped = String(try code(live).reversed())
      var proofs: [RegisterDevice.Proof] = [
        .code(wrongCode()), .code(""), .code("0"), .code("UUUUUUUUU"), .code("\u{212a}"), .code(swapped),
        .code("00000000-0000-4000-8000-000000000000"), .code(String(repeating: "A", count: 10_000)), .code("\0"),
        .token(""), .token("AAAAAAAAAAAAAAAAAAAAAA"), .token(try token(live) + "="), .token(try code(live)),
        .code(try token(live)), .token(try token(live).lowercased() + "a"),
      ]
      for enrollment in [used, cancelled, expired, swept, justExpired, longExpired] {
        proofs += [.code(try code(enrollment)), .token(try token(enrollment))]
      }
      let events = try await world.events { () async throws in
        for proof in proofs {
          #expect(try await world.refusal(of: proof) == "enrollmentCodeInvalid", "\(proof)")
        }
      }
      #expect(events == [])
      #expect(try await world.deviceCount() == 1)
      #expect(try await world.read(live).status == .pending)
    }
  }

  // MARK: Budgets

  @Test func aSourceHasSoManyAttemptsAMinute() async throws {
    try await withWorld(attemptsPerSource: 3) { world async throws in
      world.clock.advance(seconds: 20)
      let (typed, linked) = (try await world.create(), try await world.create())
      for _ in 0..<3 {
        #expect(try await world.refusal(of: .code(wrongCode())) == "enrollmentCodeInvalid")
      }
      for proof in [wrongCode(), try code(typed), "malformed"] {
        let refused = try await world.excess(of: .code(proof))
        #expect(refused?.scope == "source(limit: 3)" && refused?.seconds == 40)
      }
      #expect(try await world.attempts() == [3, 3], "a refused attempt is not evaluated, and counts for nobody")
      _ = try await world.register(.token(try token(linked)))
      #expect(
        try await world.refusal(of: .code(wrongCode()), source: "192.0.2.2")
          == "enrollmentCodeInvalid")
      world.clock.advance(milliseconds: 39_999)
      #expect(try await world.excess(of: .code(wrongCode()))?.seconds == 1)
      world.clock.advance(milliseconds: 1)
      _ = try await world.register(.code(try code(typed)))
    }
  }

  @Test func theDeploymentHasSoManyAttemptsADay() async throws {
    try await withWorld(attemptsPerDay: 4) { world async throws in
      let (typed, linked) = (try await world.create(), try await world.create())
      for number in 0..<4 {
        let source = "192.0.2.\(number)"
        #expect(
          try await world.refusal(of: .code(wrongCode()), source: source)
            == "enrollmentCodeInvalid")
      }
      // The epoch of the tests is at half past eleven.
      let refused = try await world.excess(of: .code(try code(typed)), source: "192.0.2.9")
      #expect(refused?.scope == "deployment(limit: 4)" && refused?.seconds == 45_000)
      #expect(try await world.attempts(source: "192.0.2.9") == [4, 0])
      _ = try await world.register(.token(try token(linked)), source: "192.0.2.9")
      world.clock.advance(seconds: 45_000)
      let tomorrow = try await world.create()
      _ = try await world.register(.code(try code(tomorrow)), source: "192.0.2.9")
    }
  }

  @Test func whatIsNoWrongGuessIsGivenBack() async throws {
    try await withWorld { world async throws in
      let (typed, linked, long) = (
        try await world.create(), try await world.create(), try await world.create(life: 7_200_001)
      )
      _ = try await world.register(.code(try code(typed)))
      _ = try await world.register(.code(try code(long)))
      #expect(try await world.attempts() == [0, 0], "a right code costs nothing")
      _ = try await world.register(.token(try token(linked)))
      _ = try await world.refusal(of: .token("wrong"))
      #expect(try await world.attempts() == [0, 0], "a deep link is outside")
      // What cannot hit a typed code costs the deployment nothing; its source still pays for the work.
      for (number, malformed) in [
        "", "malformed", "ABCDEFGHI", "00000000-0000-4000-8000-000000000000", try code(long),
      ].enumerated() {
        #expect(try await world.refusal(of: .code(malformed)) == "enrollmentCodeInvalid")
        #expect(try await world.attempts() == [0, Int64(number + 1)])
      }
      for (number, guess) in [wrongCode(), wrongCode(), try code(typed)].enumerated() {
        #expect(try await world.refusal(of: .code(guess)) == "enrollmentCodeInvalid")
        #expect(try await world.attempts() == [Int64(number + 1), Int64(number + 6)])
      }
    }
  }

  @Test func theBudgetHoldsInARace() async throws {
    try await withWorld(attemptsPerDay: 25) { world async throws in
      let answers = try await racing(200) { number in
        try await world.refusal(of: .code(wrongCode()), source: "\(number)")
      }
      #expect(answers.count { $0 == "enrollmentCodeInvalid" } == 25)
      #expect(answers.count { $0 == "codeAttemptsExceeded" } == 175)
    }
  }

  /// 64 live codes of 8 symbols allow 2^20 / 64 attempts a day, whatever the setting says.
  @Test func theBudgetIsClampedToWhatTheLiveCodesAllow() async throws {
    try await withWorld { world async throws in
      for _ in 0..<64 { _ = try await world.create() }
      let raised = world.service(
        ServiceSettings(
          codeAttemptsPerDay: 1_000_000, codeAttemptsPerSourcePerMinute: 100, publicURL: { "https://kassa.example" }))
      let report = try await raised.codeSecurity()
      #expect(report.attemptsPerDay == 16_384 && report.boundHolds)
      #expect(report.chanceOfHitPerDay == CodeSecurity.bound)

      let day = Timestamp(millisecondsSinceEpoch: world.clock.now.millisecondsSinceEpoch / 86_400_000 * 86_400_000)
      try await world.store.write { transaction in
        for _ in 0..<16_383 {
          _ = try transaction.budgets.take(
            .deployment, windowStart: day, windowEnd: day.adding(seconds: 86_400), limit: .max)
        }
      }
      #expect(
        try await world.refusal(of: .code(wrongCode()), with: raised) == "enrollmentCodeInvalid")
      #expect(try await raised.codeSecurity().attemptsUsedToday == 16_384)
      let refused = try await world.excess(of: .code(wrongCode()), with: raised)
      #expect(refused?.scope == "deployment(limit: 16384)")
    }
  }

  // MARK: Replay

  @Test func aRegistrationCanBeRepeatedForAMinute() async throws {
    try await withWorld { world async throws in
      for isTyped in [true, false] {
        let created = try await world.create()
        let proof: RegisterDevice.Proof = try isTyped ? .code(code(created)) : .token(token(created))
        let first = try await world.register(proof, registrationID: "a")
        let before = try await world.attempts()
        let events = try await world.events { () async throws in
          world.clock.advance(milliseconds: 59_999)
          let again = try await world.register(proof, registrationID: "a")
          #expect(again.device == first.device && again.bearerToken == first.bearerToken)
          if isTyped {
            let folded = try await world.register(.code(code(created).lowercased()), registrationID: "a")
            #expect(folded.bearerToken == first.bearerToken)
          }
        }
        #expect(events == [])
        #expect(try await world.attempts() == before)
        world.clock.advance(milliseconds: 1)
        #expect(
          try await world.refusal(of: proof, registrationID: "a") == "enrollmentCodeInvalid")
      }
      #expect(try await world.deviceCount() == 2)
    }
  }

  @Test func onlyTheSameRequestIsARepetition() async throws {
    try await withWorld { world async throws in
      let (created, other) = (try await world.create(), try await world.create())
      let proof: RegisterDevice.Proof = .code(try code(created))
      let first = try await world.register(proof, registrationID: "a", key: [1])
      let answers = [
        try await world.refusal(of: proof, hardwareID: "another", registrationID: "a", key: [1]),
        try await world.refusal(of: proof, platform: .android, registrationID: "a", key: [1]),
        try await world.refusal(of: proof, registrationID: "b", key: [1]),
        try await world.refusal(of: proof, registrationID: nil, key: [1]),
        try await world.refusal(of: proof, registrationID: "a", key: [2]),
        try await world.refusal(of: proof, registrationID: "a", key: nil),
        try await world.refusal(of: .token(token(created)), registrationID: "a", key: [1]),
        try await world.refusal(of: .code("malformed"), registrationID: "a", key: [1]),
      ]
      #expect(answers == [String](repeating: "enrollmentCodeInvalid", count: 8))
      let second = try await world.register(.code(try code(other)), registrationID: "a", key: [1])
      #expect(second.device.id != first.device.id && second.bearerToken != first.bearerToken)
      #expect(try await world.register(proof, registrationID: "a", key: [1]).bearerToken == first.bearerToken)
      try await world.service.deleteDevice(first.device.id, as: world.principal)
      #expect(
        try await world.refusal(of: proof, registrationID: "a", key: [1])
          == "enrollmentCodeInvalid")
    }
  }

  @Test func repetitionsThatRaceGetOneDevice() async throws {
    try await withWorld { world async throws in
      for _ in 0..<20 {
        let proof: RegisterDevice.Proof = .code(try code(try await world.create()))
        let answers = try await racing(20) { _ in try await world.register(proof, registrationID: "a") }
        #expect(Set(answers.map(\.bearerToken)).count == 1)
        #expect(Set(answers.map(\.device.id)).count == 1)
      }
      #expect(try await world.deviceCount() == 20)
    }
  }
}
