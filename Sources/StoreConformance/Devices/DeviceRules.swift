import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let deviceRules = [
    Rule("a device is kept whole") { try await $0.devicesAreKeptWhole() },
    Rule("a device's token, enrollment and identifier are unique") { try await $0.devicesAreUnique() },
    Rule("one device of an enrollment, whoever races") { try await $0.oneDeviceOfAnEnrollment() },
    Rule("a device is changed from the version before") { try await $0.devicesChangeFromTheVersionBefore() },
    Rule("a deleted device is gone for every method") { try await $0.deletedDevicesAreGone() },
    Rule("being seen is no change") { try await $0.beingSeenIsNoChange() },
    Rule("a registration is repeated until its time is over") { try await $0.registrationsAreReplayed() },
    Rule("ended replays are forgotten, some at a time") { try await $0.replaysAreForgotten() },
    Rule("every narrowing of the devices' list is right on every page") { try await $0.deviceListsAreRight() },
  ]

  private func insert(
    _ device: Device, token: [UInt8], replay: RegistrationReplay? = nil, in store: any Store
  ) async throws {
    try await store.write { try $0.devices.insert(device, tokenHash: token, replay: replay) }
  }

  private func stored(_ device: Device, in store: any Store) async throws -> Device? {
    try await store.read { try $0.devices.find(device.id, of: device.merchantID) }
  }

  private func deleted(_ device: Device, in store: any Store) async throws -> Bool {
    var last = device
    _ = last.delete()
    let gone = last
    return try await store.write { try $0.devices.delete(gone, at: Maker.epoch) }
  }

  private func replaced(
    _ device: Device, name: String? = nil, metadata: Metadata = .empty, at location: LocationID? = nil
  ) -> Device {
    var changed = device
    _ = changed.replace(Device.Replacement(name: name, metadata: metadata, locationID: location))
    return changed
  }

  func devicesAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      for (number, platform) in Device.Platform.allCases.enumerated() {
        let hasAll = number.isMultiple(of: 2)
        let device = Device(
          id: maker.id(), merchantID: maker.id(), enrollmentID: maker.id(), hardwareID: "hardware \u{1F4F1}",
          platform: platform, name: hasAll ? "Till" : nil, metadata: try maker.metadata(["a": "1", "b": ""]),
          locationID: hasAll ? maker.id() : nil, createdAt: Maker.epoch,
          lastSeenAt: hasAll ? Maker.epoch.adding(seconds: 1) : nil, keyThumbprint: hasAll ? maker.bytes() : nil)
        let token = maker.bytes()
        try await insert(device, token: token, in: store)
        #expect(try await stored(device, in: store) == device)
        #expect(try await store.read { try $0.devices.find(tokenHash: token) } == device)
      }
      #expect(try await store.read { try $0.devices.find(tokenHash: maker.bytes()) } == nil)
      #expect(try await store.read { try $0.devices.find(maker.id(), of: maker.id()) } == nil)
    }
  }

  func devicesAreUnique() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (device, token) = (maker.device(of: maker.id()), maker.bytes())
      try await insert(device, token: token, in: store)
      await expectConflict(.deviceToken) { try await insert(maker.device(of: maker.id()), token: token, in: store) }
      let second = maker.device(of: device.merchantID, enrollment: device.enrollmentID)
      await expectConflict(.deviceOfEnrollment) { try await insert(second, token: maker.bytes(), in: store) }
      await expectConflict(.identifier) {
        let twin = Device(
          id: device.id, merchantID: device.merchantID, enrollmentID: maker.id(), hardwareID: "", platform: .ios,
          name: nil, metadata: .empty, locationID: nil, createdAt: Maker.epoch, keyThumbprint: nil)
        try await insert(twin, token: maker.bytes(), in: store)
      }
      #expect(try await deleted(device, in: store))
      await expectConflict(.deviceOfEnrollment) { try await insert(second, token: maker.bytes(), in: store) }
      #expect(try await stored(second, in: store) == nil)
      // The token ended with its device.
      try await insert(maker.device(of: device.merchantID), token: token, in: store)
    }
  }

  func oneDeviceOfAnEnrollment() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, enrollment) = (maker.id(Merchant.self), maker.id(Enrollment.self))
      let won = try await racing(60) { _ in
        do {
          let device = maker.device(of: merchant, enrollment: enrollment)
          try await self.insert(device, token: maker.bytes(), in: store)
          return true
        } catch StoreError.conflict(.deviceOfEnrollment) {
          return false
        }
      }
      #expect(won.count { $0 } == 1)
      let page = try await store.read {
        try $0.devices.page(of: merchant, DeviceFilter(), PageRequest(number: 0, size: 100))
      }
      #expect(page.totalElements == 1)
    }
  }

  func devicesChangeFromTheVersionBefore() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (device, token) = (maker.device(of: maker.id(), at: maker.id()), maker.bytes())
      try await insert(device, token: token, in: store)
      let places = (0..<40).map { _ in maker.id(Location.self) }
      let answers = try await racing(places.count) { number in
        let mine = self.replaced(
          device, name: "by \(number)", metadata: try maker.metadata(["by": "\(number)"]), at: places[number])
        return try await store.write { try $0.devices.update(mine) }
      }
      #expect(answers.count { $0 } == 1)
      let winner = try #require(answers.firstIndex(of: true))
      let expected = replaced(
        device, name: "by \(winner)", metadata: try maker.metadata(["by": "\(winner)"]), at: places[winner])
      #expect(try await stored(device, in: store) == expected)
      #expect(try await store.read { try $0.devices.find(tokenHash: token) } == expected)
      for (number, place) in places.enumerated() {
        #expect(try await store.read { try $0.devices.hasAny(at: place, of: device.merchantID) } == (number == winner))
      }

      let skipping = replaced(replaced(expected, name: "lost"), name: "too far")
      for refused in [skipping, replaced(maker.device(of: device.merchantID), name: "unknown")] {
        #expect(try await !store.write { try $0.devices.update(refused) })
      }
      #expect(try await !deleted(skipping, in: store))
      #expect(try await stored(device, in: store) == expected)
    }
  }

  func deletedDevicesAreGone() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, location) = (maker.id(Merchant.self), maker.id(Location.self))
      let end = Maker.epoch.adding(seconds: 60)
      let (device, token, replay) = (
        maker.device(of: merchant, at: location, metadata: try maker.metadata(["a": "1"])), maker.bytes(),
        maker.replay(until: end)
      )
      try await insert(device, token: token, replay: replay, in: store)
      let answers = try await racing(40) { _ in try await self.deleted(device, in: store) }
      #expect(answers.count { $0 } == 1)

      #expect(try await stored(device, in: store) == nil)
      #expect(try await store.read { try $0.devices.find(tokenHash: token) } == nil)
      #expect(try await store.read { try !$0.devices.hasAny(at: location, of: merchant) })
      for filter in [
        DeviceFilter(), DeviceFilter(locationID: location), DeviceFilter(metadata: device.metadata.pairs),
      ] {
        let page = try await store.read { try $0.devices.page(of: merchant, filter, PageRequest(number: 0, size: 5)) }
        #expect(page.content == [] && page.totalElements == 0 && !page.hasMore)
      }
      let isReplayed = try await store.write {
        try $0.devices.findReplay(requestHash: replay.requestHash, at: Maker.epoch) != nil
      }
      #expect(!isReplayed)
      var next = device
      _ = next.delete()
      let late = replaced(next, name: "late")
      for refused in [replaced(device, name: "late"), late] {
        #expect(try await !store.write { try $0.devices.update(refused) })
      }
      #expect(try await !deleted(next, in: store))
      try await store.write { try $0.devices.touch(device.id, of: merchant, at: end) }
      #expect(try await stored(device, in: store) == nil)
      #expect(try await store.write { try $0.devices.forgetReplays(before: .distantEnd, limit: 10) } == 0)
    }
  }

  func beingSeenIsNoChange() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (device, other) = (maker.device(of: maker.id()), maker.device(of: maker.id()))
      for one in [device, other] { try await insert(one, token: maker.bytes(), in: store) }
      let seen = Maker.epoch.adding(seconds: 5)
      try await store.write { transaction in
        try transaction.devices.touch(device.id, of: device.merchantID, at: seen)
        try transaction.devices.touch(maker.id(), of: device.merchantID, at: seen)
      }
      let touched = try #require(try await stored(device, in: store))
      #expect(touched.lastSeenAt == seen)
      #expect(touched.version == device.version)
      #expect(try await stored(other, in: store) == other)
      let renamed = replaced(device, name: "New")
      #expect(try await store.write { try $0.devices.update(renamed) }, "a version read before is still the version")
      #expect(try await stored(device, in: store)?.lastSeenAt == seen)
    }
  }

  func registrationsAreReplayed() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let end = Maker.epoch.adding(seconds: 60)
      let (device, replay) = (maker.device(of: maker.id()), maker.replay(until: end))
      try await insert(device, token: maker.bytes(), replay: replay, in: store)
      try await insert(maker.device(of: maker.id()), token: maker.bytes(), in: store)
      func found(_ hash: [UInt8], _ time: Timestamp) async throws -> (Device, [UInt8])? {
        try await store.write { transaction in
          try transaction.devices.findReplay(requestHash: hash, at: time).map { ($0.device, $0.sealedToken) }
        }
      }
      for time in [Maker.epoch, end.adding(milliseconds: -1)] {
        let repeated = try #require(try await found(replay.requestHash, time))
        #expect(repeated == (device, replay.sealedToken))
      }
      #expect(try await found(replay.requestHash, end) == nil)
      #expect(try await found(maker.bytes(), Maker.epoch) == nil)
      let changed = replaced(device, name: "New")
      _ = try await store.write { try $0.devices.update(changed) }
      #expect(try await found(replay.requestHash, Maker.epoch)?.0 == changed)
    }
  }

  func replaysAreForgotten() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let end = Maker.epoch.adding(seconds: 60)
      let replays = (0..<12).map { maker.replay(until: $0 < 10 ? end : end.adding(milliseconds: 1)) }
      for replay in replays {
        try await insert(maker.device(of: maker.id()), token: maker.bytes(), replay: replay, in: store)
      }
      func forget(_ time: Timestamp) async throws -> Int {
        try await store.write { try $0.devices.forgetReplays(before: time, limit: 7) }
      }
      #expect(try await forget(end.adding(milliseconds: -1)) == 0)
      #expect(try await forget(end) == 7)
      #expect(try await forget(end) == 3)
      #expect(try await forget(end) == 0)
      let left = try await store.write { transaction in
        try replays.map { try transaction.devices.findReplay(requestHash: $0.requestHash, at: Maker.epoch) != nil }
      }
      #expect(left == replays.indices.map { $0 >= 10 })
    }
  }

  // MARK: Lists

  func deviceListsAreRight() async throws {
    try await withStore { store async throws in
      let maker = Maker(seed: 3)
      let merchants = [maker.id(Merchant.self), maker.id(Merchant.self)]
      let locations = (0..<3).map { _ in maker.id(Location.self) }
      let keys = ["a", "e\u{301}", "\u{e9}"]
      func metadata() throws -> Metadata {
        try Metadata.make(keys.filter { _ in maker.below(2) == 0 }.map { (key: $0, value: maker.pick(["1", "2"])) })
          .get()
      }
      func place() -> LocationID? { maker.pick(locations + [nil]) }
      var model: [Device] = []
      for _ in 0..<250 {
        let device = maker.device(
          of: maker.pick(merchants), at: place(), metadata: try metadata(),
          created: Maker.epoch.adding(seconds: Int64(maker.below(40))))
        try await insert(device, token: maker.bytes(), in: store)
        model.append(device)
      }
      for index in model.indices {
        switch maker.below(4) {
        case 0:
          let device = replaced(model[index], name: "New", metadata: try metadata(), at: place())
          #expect(try await store.write { try $0.devices.update(device) })
          model[index] = device
        case 1:
          // The same text in another normalization is other metadata.
          let twin = try Metadata.make(
            model[index].metadata.pairs.map { pair in
              (key: bytes(pair.key) == bytes("\u{e9}") ? "\u{65}\u{301}\u{301}" : pair.key, value: pair.value)
            }
          ).get()
          let device = replaced(model[index], name: "Twin", metadata: twin, at: model[index].locationID)
          #expect(try await store.write { try $0.devices.update(device) })
          model[index] = device
        default: break
        }
      }
      for device in model.suffix(50) { #expect(try await deleted(device, in: store)) }
      model.removeLast(50)

      let complete = model
      var pairSets: [[(key: String, value: String)]] = [[], [("unknown", "1")]]
      for key in keys { for value in ["1", "2"] { pairSets.append([(key, value)]) } }
      for value in ["1", "2"] {
        pairSets.append([("a", value), ("\u{e9}", "1")])
        pairSets.append([("e\u{301}", value), ("\u{e9}", "2")])
        pairSets.append([("a", "1"), ("e\u{301}", "2"), ("\u{e9}", value)])
      }
      for merchant in merchants {
        for location in locations + [nil] {
          for pairs in pairSets {
            let filter = DeviceFilter(locationID: location, metadata: try Metadata.make(pairs).get().pairs)
            let expected = complete.filter { device in
              device.merchantID == merchant && (location == nil || device.locationID == location)
                && filter.metadata.allSatisfy { device.metadata.pairs.contains($0) }
            }
            try await store.read { transaction in
              try expectPages(
                of: newestFirst(expected.map(\.position)), sizes: pairs.isEmpty ? [1, 7, 100] : [9], "\(filter)",
                position: \.position
              ) { try transaction.devices.page(of: merchant, filter, $0) }
            }
          }
          if let location {
            let isThere = try await store.read { try $0.devices.hasAny(at: location, of: merchant) }
            #expect(isThere == complete.contains { $0.merchantID == merchant && $0.locationID == location })
          }
        }
      }
    }
  }
}
