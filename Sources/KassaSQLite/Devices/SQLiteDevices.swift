import KassaDomain
import KassaStore
import KassaStoreText

struct SQLiteDevices: DeviceTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, enrollment_id, hardware_id, platform, name, metadata, location_id, created_at, last_seen_at,
    key_thumbprint, version
    """

  func insert(_ device: Device, tokenHash: [UInt8], replay: RegistrationReplay?) throws {
    let rowID = try connection.first(
      """
      INSERT INTO devices (\(Self.columns), token_hash, replay_hash, replay_sealed_token, replay_until)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row_id
      """,
      .id(device.id), .id(device.merchantID), .id(device.enrollmentID), .text(device.hardwareID),
      .text(device.platform.rawValue), .text(device.name), .text(MetadataText.encoded(device.metadata)),
      .id(device.locationID), .time(device.createdAt), .time(device.lastSeenAt), .blob(device.keyThumbprint),
      .integer(device.version), .blob(tokenHash), .blob(replay?.requestHash), .blob(replay?.sealedToken),
      .time(replay?.validUntil)
    ) { $0.integer(0) }
    try Listings(connection: connection).add(listed(device, rowID: rowID ?? 0), to: .devices)
  }

  /// Enters a row that was copied into the lists.
  func list(rowID: Int64) throws {
    let copied = try connection.first(
      "SELECT \(Self.columns) FROM devices WHERE row_id = ? AND deleted_at IS NULL", .integer(rowID), read: Self.device)
    if let copied { try Listings(connection: connection).add(listed(copied, rowID: rowID), to: .devices) }
  }

  func find(_ id: DeviceID, of merchant: MerchantID) throws -> Device? {
    try connection.first(
      "SELECT \(Self.columns) FROM devices WHERE merchant_id = ? AND id = ? AND deleted_at IS NULL",
      .id(merchant), .id(id), read: Self.device)
  }

  func find(tokenHash: [UInt8]) throws -> Device? {
    try connection.first(
      "SELECT \(Self.columns) FROM devices WHERE token_hash = ?", .blob(tokenHash), read: Self.device)
  }

  func findReplay(requestHash: [UInt8], at now: Timestamp) throws -> (device: Device, sealedToken: [UInt8])? {
    try connection.first(
      """
      SELECT \(Self.columns), replay_sealed_token FROM devices
      WHERE replay_hash = ? AND replay_until > ? AND deleted_at IS NULL
      """,
      .blob(requestHash), .time(now)
    ) { (device: try Self.device($0), sealedToken: $0.blob(12)) }
  }

  func page(of merchant: MerchantID, _ filter: DeviceFilter, _ page: PageRequest) throws -> Page<Device> {
    try Listings(connection: connection).page(
      .devices, of: merchant, location: filter.locationID, labels: filter.metadata.map(\.label), page,
      columns: Self.columns, from: "devices", read: Self.device)
  }

  func hasAny(at location: LocationID, of merchant: MerchantID) throws -> Bool {
    let page = PageRequest(number: 0, size: 1)
    return try !Listings(connection: connection).page(
      .devices, of: merchant, location: location, labels: [], page, columns: "row_id", from: "devices"
    ) { $0.integer(0) }.content.isEmpty
  }

  func update(_ device: Device) throws -> Bool {
    guard let (rowID, before) = try stored(device) else { return false }
    try connection.run(
      "UPDATE devices SET name = ?, metadata = ?, location_id = ?, version = ? WHERE row_id = ?",
      .text(device.name), .text(MetadataText.encoded(device.metadata)), .id(device.locationID),
      .integer(device.version), .integer(rowID))
    if before.metadata != device.metadata || before.locationID != device.locationID {
      let listings = Listings(connection: connection)
      try listings.remove(listed(before, rowID: rowID), from: .devices)
      try listings.add(listed(device, rowID: rowID), to: .devices)
    }
    return true
  }

  func delete(_ device: Device, at now: Timestamp) throws -> Bool {
    guard let (rowID, before) = try stored(device) else { return false }
    try connection.run(
      """
      UPDATE devices SET deleted_at = ?, version = ?, token_hash = NULL, replay_hash = NULL,
      replay_sealed_token = NULL, replay_until = NULL WHERE row_id = ?
      """,
      .time(now), .integer(device.version), .integer(rowID))
    try Listings(connection: connection).remove(listed(before, rowID: rowID), from: .devices)
    return true
  }

  func touch(_ id: DeviceID, of merchant: MerchantID, at now: Timestamp) throws {
    try connection.run(
      "UPDATE devices SET last_seen_at = ? WHERE merchant_id = ? AND id = ? AND deleted_at IS NULL",
      .time(now), .id(merchant), .id(id))
  }

  func forgetReplays(before now: Timestamp, limit: Int) throws -> Int {
    try connection.run(
      """
      UPDATE devices SET replay_hash = NULL, replay_sealed_token = NULL, replay_until = NULL WHERE row_id IN
      (SELECT row_id FROM devices WHERE replay_until <= ? LIMIT ?)
      """,
      .time(now), .integer(Int64(limit)))
  }

  /// The row and content of the version before `device`, if it is still the stored one.
  private func stored(_ device: Device) throws -> (rowID: Int64, before: Device)? {
    try connection.first(
      """
      SELECT \(Self.columns), row_id FROM devices
      WHERE merchant_id = ? AND id = ? AND version = ? AND deleted_at IS NULL
      """,
      .id(device.merchantID), .id(device.id), .integer(device.version - 1)
    ) { (rowID: $0.integer(12), before: try Self.device($0)) }
  }

  private func listed(_ device: Device, rowID: Int64) -> Listings.Element {
    Listings.Element(
      merchantID: device.merchantID, locationID: device.locationID, labels: device.metadata.pairs.map(\.label),
      position: PagePosition(createdAt: device.createdAt, id: device.id.of(EventSubject.self)), rowID: rowID)
  }

  private static func device(_ row: SQLRow) throws -> Device {
    guard let platform = Device.Platform(rawValue: row.text(4)) else {
      throw StoreError.unusable(OperatorDetail("a device has the unknown platform \(row.text(4))"))
    }
    return Device(
      id: try row.id(0), merchantID: try row.id(1), enrollmentID: try row.id(2), hardwareID: row.text(3),
      platform: platform, name: row.optionalText(5), metadata: try MetadataText.decoded(row.textBytes(6)),
      locationID: try row.optionalID(7), createdAt: row.time(8), lastSeenAt: row.optionalTime(9),
      keyThumbprint: row.optionalBlob(10), version: row.integer(11))
  }
}
