import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let tenancyRules = [
    Rule("another merchant's things are as if they were not there") { try await $0.tenantsAreApart() },
    Rule("text comes back byte for byte") { try await $0.textComesBackByteForByte() },
  ]

  func tenantsAreApart() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (owner, other) = (maker.merchant(), maker.merchant())
      let location = maker.location(of: owner.id)
      let key = maker.apiKey(of: owner.id)
      let enrollment = maker.enrollment(of: owner.id, at: location.id, metadata: try maker.metadata(["a": "1"]))
      let device = maker.device(of: owner.id, at: location.id, metadata: try maker.metadata(["a": "1"]))
      let scope = IdempotencyScope(merchantID: owner.id, operation: "POST /", key: "key")
      let record = IdempotencyRecord(bodyHash: [1], status: 201, sealedBody: [2], expiresAt: .distantEnd)
      try await store.write { transaction in
        try transaction.merchants.insert(owner)
        try transaction.merchants.insert(other)
        try transaction.locations.insert(location)
        try transaction.apiKeys.insert(key)
        try transaction.enrollments.insert(enrollment)
        try transaction.devices.insert(device, tokenHash: maker.bytes(), replay: nil)
        try transaction.events.append(maker.event(of: owner.id))
        try transaction.idempotency.insert(record, for: scope, at: Maker.epoch)
      }

      // Reading: what the owner sees, the other does not.
      for (merchant, isOwner) in [(owner.id, true), (other.id, false)] {
        let one = PageRequest(number: 0, size: 5)
        let seen = try await store.read { transaction in
          [
            try transaction.locations.find(location.id, of: merchant) != nil,
            try transaction.locations.only(of: merchant) != nil,
            try transaction.locations.page(of: merchant, one).totalElements == 1,
            try transaction.apiKeys.find(key.id, of: merchant) != nil,
            try transaction.apiKeys.page(of: merchant, one).totalElements == 1,
            try transaction.enrollments.find(enrollment.id, of: merchant) != nil,
            try transaction.enrollments.page(of: merchant, EnrollmentFilter(), one).totalElements == 1,
            try transaction.enrollments.page(
              of: merchant, EnrollmentFilter(locationID: location.id), one
            ).content.count == 1,
            try transaction.enrollments.page(
              of: merchant, EnrollmentFilter(metadata: enrollment.metadata.pairs, includesConsumed: false), one
            ).content.count == 1,
            try transaction.enrollments.hasPending(at: location.id, of: merchant, now: Maker.epoch),
            try transaction.devices.find(device.id, of: merchant) != nil,
            try transaction.devices.page(of: merchant, DeviceFilter(), one).totalElements == 1,
            try transaction.devices.page(
              of: merchant, DeviceFilter(locationID: location.id, metadata: device.metadata.pairs), one
            ).content.count == 1,
            try transaction.devices.hasAny(at: location.id, of: merchant),
            try transaction.events.newest(of: merchant, before: nil, limit: 5).count == 1,
          ]
        }
        #expect(seen == [Bool](repeating: isOwner, count: seen.count))
      }

      // Writing in the other's name reaches nothing.
      var theirLocation = Location(
        id: location.id, merchantID: other.id, details: location.details, createdAt: Maker.epoch)
      _ = theirLocation.replace(Location.Details(name: "taken over"), at: Maker.epoch)
      var theirDevice = Device(
        id: device.id, merchantID: other.id, enrollmentID: device.enrollmentID, hardwareID: "", platform: .ios,
        name: nil, metadata: .empty, locationID: nil, createdAt: Maker.epoch, keyThumbprint: nil)
      _ = theirDevice.delete()
      let theirEnrollment = Enrollment(
        restoring: enrollment.id, merchantID: other.id, locationID: location.id, metadata: .empty,
        createdAt: Maker.epoch, expiresAt: Maker.epoch, state: .cancelled, version: 2)
      let (changed, gone) = (theirLocation, theirDevice)
      let done = try await store.write { transaction in
        try transaction.devices.touch(device.id, of: other.id, at: .distantEnd)
        return [
          try transaction.apiKeys.revoke(key.id, of: other.id, at: Maker.epoch),
          try transaction.locations.update(changed),
          try transaction.locations.delete(location.id, of: other.id),
          try transaction.enrollments.move(theirEnrollment, from: .pending),
          try transaction.devices.update(gone),
          try transaction.devices.delete(gone, at: Maker.epoch),
          try transaction.idempotency.find(
            IdempotencyScope(merchantID: other.id, operation: scope.operation, key: scope.key), at: Maker.epoch) != nil,
        ]
      }
      #expect(done == [Bool](repeating: false, count: done.count))
      #expect(try await store.read { try $0.locations.find(location.id, of: owner.id) } == location)
      #expect(try await store.read { try $0.apiKeys.find(key.id, of: owner.id) } == key)
      #expect(try await store.read { try $0.enrollments.find(enrollment.id, of: owner.id) } == enrollment)
      #expect(try await store.read { try $0.devices.find(device.id, of: owner.id) } == device)
    }
  }

  func textComesBackByteForByte() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let texts = [
        "\u{e9}", "e\u{301}", "K", "\u{212a}", "k", "", " ", "a ", "a", "A", "\u{feff}bom",
        "\u{1F468}\u{200d}\u{1F469}",
        "'; DROP TABLE merchants; --", "%_\\", "\u{7f}\u{1}", "\u{10ffff}", "\u{fffd}", "line\r\nbreak", "\u{fb01}",
      ]
      for text in texts {
        let merchant = Merchant(id: maker.id(), name: text, createdAt: Maker.epoch)
        let key = APIKey(
          id: maker.id(), merchantID: merchant.id, name: text, prefix: text, hash: maker.bytes(), createdAt: Maker.epoch
        )
        let location = Location(
          id: maker.id(), merchantID: merchant.id,
          details: Location.Details(
            name: text, streetAddress: text, streetAddress2: text, postalCode: text, city: text, country: text),
          createdAt: Maker.epoch)
        let metadata = try Metadata.make([(key: "k" + text, value: text)]).get()
        let enrollment = maker.enrollment(of: merchant.id, metadata: metadata)
        let device = Device(
          id: maker.id(), merchantID: merchant.id, enrollmentID: enrollment.id, hardwareID: text, platform: .ios,
          name: text, metadata: metadata, locationID: nil, createdAt: Maker.epoch, keyThumbprint: nil)
        let event = Event(
          merchantID: merchant.id, subjectID: maker.id(), sequence: 1, type: .devicePaired, at: Maker.epoch,
          actor: .system, requestID: text)
        try await store.write { transaction in
          try transaction.merchants.insert(merchant)
          try transaction.apiKeys.insert(key)
          try transaction.locations.insert(location)
          try transaction.enrollments.insert(enrollment)
          try transaction.devices.insert(device, tokenHash: maker.bytes(), replay: nil)
          try transaction.events.append(event)
        }
        let read: [String?] = try await store.read { transaction in
          let key = try transaction.apiKeys.find(key.id, of: merchant.id)
          let details = try transaction.locations.find(location.id, of: merchant.id)?.details
          let device = try transaction.devices.find(device.id, of: merchant.id)
          let pairs = try transaction.enrollments.find(enrollment.id, of: merchant.id)?.metadata.pairs
          return [
            try transaction.merchants.find(merchant.id)?.name, key?.name, key?.prefix, details?.name,
            details?.streetAddress, details?.streetAddress2, details?.postalCode, details?.city, details?.country,
            device?.name, device?.hardwareID, device?.metadata.pairs.first?.value, pairs?.first?.value,
            pairs.map { String($0[0].key.unicodeScalars.dropFirst()) },
            try transaction.events.newest(of: merchant.id, before: nil, limit: 1).first?.event.requestID,
          ]
        }
        #expect(read.map(bytes) == read.map { _ in bytes(text) }, "\(text)")
      }
    }
  }
}
