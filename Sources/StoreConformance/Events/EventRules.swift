import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let eventRules = [
    Rule("an event is kept whole") { try await $0.eventsAreKeptWhole() },
    Rule("events are read newest first, from any place") { try await $0.eventsAreReadNewestFirst() },
    Rule("a walk from the oldest event repeats nothing and skips nothing, while others append") {
      try await $0.walksFromTheOldestAreWhole()
    },
    Rule("a device's feed has its own events, in order, from any place") { try await $0.feedsAreInOrder() },
    Rule("a subject has each sequence number once") { try await $0.sequenceNumbersAreUnique() },
  ]

  func eventsAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.id(Merchant.self)
      let actors: [Actor] = [
        .apiKey(maker.id()), .device(maker.id()), .enrollmentCode(maker.id()), .operatorAtConsole, .system,
      ]
      var events: [Event] = []
      for type in EventType.allCases {
        for (number, actor) in actors.enumerated() {
          events.append(
            Event(
              merchantID: merchant, subjectID: maker.id(), sequence: Int64(number + 1), type: type,
              at: Maker.epoch.adding(milliseconds: Int64(number)), actor: actor,
              requestID: number.isMultiple(of: 2) ? "request \(number)" : nil,
              relatedID: number.isMultiple(of: 3) ? maker.id() : nil))
        }
      }
      let appended = events
      try await store.write { transaction in for event in appended { try transaction.events.append(event) } }
      let read = try await store.read { try $0.events.newest(of: merchant, before: nil, limit: 1000) }
      #expect(read.map(\.event) == appended.reversed())
    }
  }

  func eventsAreReadNewestFirst() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchants = [maker.id(Merchant.self), maker.id(Merchant.self)]
      let appended = try await racing(100) { number in
        let event = maker.event(of: merchants[number % 2])
        try await store.write { try $0.events.append(event) }
        return event
      }
      for (number, merchant) in merchants.enumerated() {
        let all = try await store.read { try $0.events.newest(of: merchant, before: nil, limit: 1000) }
        #expect(Set(all.map(\.event.subjectID)) == Set(appended.filter { $0.merchantID == merchant }.map(\.subjectID)))
        #expect(all.count == 50)
        #expect(zip(all, all.dropFirst()).allSatisfy { $0.position > $1.position })

        var walked: [LoggedEvent] = []
        while true {
          let before = walked.last?.position
          let next = try await store.read { try $0.events.newest(of: merchant, before: before, limit: 7) }
          if next.isEmpty { break }
          walked += next
          // What is appended meanwhile lies above, and does not disturb the walk.
          let newer = maker.event(of: merchants[number])
          try await store.write { try $0.events.append(newer) }
        }
        #expect(walked == all)
        #expect(try await store.read { try $0.events.newest(of: merchant, before: nil, limit: 0) } == [])
      }
      #expect(try await store.read { try $0.events.newest(of: maker.id(), before: nil, limit: 10) } == [])
    }
  }

  func walksFromTheOldestAreWhole() async throws {
    try await withStore { store async throws in
      let (maker, writers, eventsEach) = (Maker(), 8, 60)
      let merchant = maker.id(Merchant.self)
      let subjects = (0..<writers).map { _ in maker.id(EventSubject.self) }
      let unfinished = Shared(writers)
      var walked: [LoggedEvent] = []
      try await withThrowingTaskGroup(of: Void.self) { group in
        for subject in subjects {
          group.addTask {
            for sequence in 1...eventsEach {
              let event = maker.event(of: merchant, subject: subject, sequence: Int64(sequence))
              try await store.write { try $0.events.append(event) }
            }
            unfinished.withLock { $0 -= 1 }
          }
        }
        // The last looks are made after the last commit.
        var looksLeft = 2
        while looksLeft > 0 {
          if unfinished.withLock({ $0 == 0 }) { looksLeft -= 1 }
          await Task.yield()
          while true {
            let after = walked.last?.position ?? 0
            let next = try await store.read { try $0.events.oldest(of: merchant, after: after, limit: 7) }
            if next.isEmpty { break }
            walked += next
          }
        }
        try await group.waitForAll()
      }
      #expect(zip(walked, walked.dropFirst()).allSatisfy { $0.position < $1.position })
      #expect(walked.count == writers * eventsEach)
      for subject in subjects {
        let own = walked.filter { $0.event.subjectID == subject }.map(\.event.sequence)
        #expect(own == (1...eventsEach).map { Int64($0) }, "each subject in its order")
      }
    }
  }

  func feedsAreInOrder() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.id(Merchant.self)
      let devices = [maker.id(Device.self), maker.id(Device.self)]
      #expect(try await store.read { try $0.events.newestPosition(of: devices[0]) } == 0)
      for number in 0..<20 {
        let event = Event(
          merchantID: merchant, subjectID: maker.id(), sequence: 1, type: .sessionCreated, at: Maker.epoch,
          actor: .system, requestID: nil, deviceID: number % 3 == 2 ? nil : devices[number % 3])
        try await store.write { try $0.events.append(event) }
      }
      for device in devices {
        let all = try await store.read { try $0.events.feed(of: device, after: 0, limit: 100) }
        #expect(all.count == 7 && all.allSatisfy { $0.event.deviceID == device })
        #expect(zip(all, all.dropFirst()).allSatisfy { $0.position < $1.position })
        let third = all[2].position
        #expect(try await store.read { try $0.events.feed(of: device, after: third, limit: 3) } == Array(all[3..<6]))
        #expect(try await store.read { try $0.events.newestPosition(of: device) } == all.last?.position)
      }
    }
  }

  func sequenceNumbersAreUnique() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, other) = (maker.id(Merchant.self), maker.id(Merchant.self))
      let subject = maker.id(EventSubject.self)
      for event in [
        maker.event(of: merchant, subject: subject, sequence: 1),
        maker.event(of: merchant, subject: subject, sequence: 2),
        maker.event(of: merchant, sequence: 1), maker.event(of: other, sequence: 1),
      ] {
        try await store.write { try $0.events.append(event) }
      }
      await expectConflict(.eventSequence) {
        let twin = maker.event(of: merchant, subject: subject, sequence: 2, type: .deviceDeleted)
        try await store.write { try $0.events.append(twin) }
      }

      let won = try await racing(40) { _ in
        do {
          try await store.write { try $0.events.append(maker.event(of: merchant, subject: subject, sequence: 3)) }
          return true
        } catch StoreError.conflict(.eventSequence) {
          return false
        }
      }
      #expect(won.count { $0 } == 1)
      #expect(try await store.read { try $0.events.newest(of: merchant, before: nil, limit: 100) }.count == 4)
    }
  }
}
