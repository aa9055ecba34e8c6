import KassaDomain
import Testing

struct DeviceTests {
  private let shop = location(1)

  private static func location(_ seed: UInt64) -> LocationID {
    var generator = SeededGenerator(seed: seed)
    return LocationID(using: &generator)
  }

  private func device() throws -> Device {
    var generator = SeededGenerator(seed: 9)
    return Device(
      id: DeviceID(using: &generator), merchantID: MerchantID(using: &generator),
      enrollmentID: EnrollmentID(using: &generator), hardwareID: "hw-1", platform: .ios, name: "Till 1",
      metadata: try metadata(["store": "12"]), locationID: shop, createdAt: Timestamp(millisecondsSinceEpoch: 5),
      keyThumbprint: nil)
  }

  private func replacement(
    name: String? = "Till 1", metadata members: KeyValuePairs<String, String> = ["store": "12"],
    locationID: LocationID? = location(1)
  ) throws -> Device.Replacement {
    Device.Replacement(name: name, metadata: try metadata(members), locationID: locationID)
  }

  @Test func replacesEverythingAtOnce() throws {
    var device = try device()
    let other = Self.location(2)
    let event = device.replace(try replacement(name: "Till 2", metadata: ["a": "b"], locationID: other))
    #expect(event == .deviceChanged)
    #expect(device.name == "Till 2")
    #expect(device.metadata == (try metadata(["a": "b"])))
    #expect(device.locationID == other)
    #expect(device.version == 2)
  }

  @Test func leavingOutEmptiesAndDetachesButKeepsTheName() throws {
    var device = try device()
    #expect(device.replace(Device.Replacement(name: nil, metadata: .empty, locationID: nil)) == .deviceChanged)
    #expect(device.name == "Till 1")
    #expect(device.metadata == .empty)
    #expect(device.locationID == nil)
  }

  @Test func sameAgainIsNoChange() throws {
    let before = try device()
    var device = before
    #expect(device.replace(try replacement()) == nil)
    #expect(device.replace(try replacement(name: nil)) == nil)
    #expect(device == before)
  }

  @Test func eachPartAloneIsAChange() throws {
    for changed in [
      try replacement(name: "Till 2"), try replacement(metadata: ["store": "13"]), try replacement(metadata: [:]),
      try replacement(locationID: Self.location(2)), try replacement(locationID: nil),
    ] {
      var device = try device()
      #expect(device.replace(changed) == .deviceChanged)
      #expect(device.version == 2)
    }
  }

  @Test func textIsComparedAsBytes() throws {
    var device = try device()
    for text in ["\u{e9}", "e\u{301}", "\u{212a}", "K"] {
      #expect(device.replace(try replacement(name: text)) == .deviceChanged)
      #expect(device.replace(try replacement(name: text)) == nil)
    }
    #expect(device.replace(try replacement(metadata: ["k": "\u{e9}"])) == .deviceChanged)
    #expect(device.replace(try replacement(metadata: ["k": "e\u{301}"])) == .deviceChanged)
    #expect(device.metadata.pairs.map { Array($0.value.utf8) } == [Array("e\u{301}".utf8)])
  }

  @Test func deletingIsAChange() throws {
    var device = try device()
    #expect(device.delete() == .deviceDeleted)
    #expect(device.version == 2)
  }
}
