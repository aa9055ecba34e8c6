import KassaDomain
import KassaStore
import KassaStoreText

struct PostgresDevices: DeviceTable {
  let session: PostgresSession
  private static let columns = """
    id, merchant_id, enrollment_id, hardware_id, platform, name, metadata, location_id, created_at, last_seen_at,
    key_thumbprint, version
    """
  /// The same, of the table's alias in a list.
  private static let listedColumns = """
    t.id, t.merchant_id, t.enrollment_id, t.hardware_id, t.platform, t.name, t.metadata, t.location_id, t.created_at,
    t.last_seen_at, t.key_thumbprint, t.version
    """

  func insert(_ device: Device, tokenHash: [UInt8], replay: RegistrationReplay?) throws {
    try session.run(
      """
      INSERT INTO devices (\(Self.columns), token_hash, replay_hash, replay_sealed_token, replay_until)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
      """,
      .id(device.id), .id(device.merchantID), .id(device.enrollmentID), .text(device.hardwareID),
      .text(device.platform.rawValue), .text(device.name), .text(MetadataText.encoded(device.metadata)),
      .id(device.locationID), .time(device.createdAt), .time(device.lastSeenAt), .bytes(device.keyThumbprint),
      .integer(device.version), .bytes(tokenHash), .bytes(replay?.requestHash), .bytes(replay?.sealedToken),
      .time(replay?.validUntil))
    try MetadataListings(session: session).add(listed(device), to: [.devices])
  }

  func find(_ id: DeviceID, of merchant: MerchantID) throws -> Device? {
    try session.first(
      """
      SELECT \(Self.columns) FROM devices
      WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL\(session.locking("FOR SHARE"))
      """,
      .id(merchant), .id(id)
    ) { try Self.device($0) }
  }

  func find(tokenHash: [UInt8]) throws -> Device? {
    try session.first("SELECT \(Self.columns) FROM devices WHERE token_hash = $1", .bytes(tokenHash)) {
      try Self.device($0)
    }
  }

  /// Of two that register alike at once, the second waits and finds what the first made.
  func findReplay(requestHash: [UInt8], at now: Timestamp) throws -> (device: Device, sealedToken: [UInt8])? {
    try session.lock(.registration, requestHash)
    return try session.first(
      """
      SELECT \(Self.columns), replay_sealed_token FROM devices
      WHERE replay_hash = $1 AND replay_until > $2 AND deleted_at IS NULL
      """,
      .bytes(requestHash), .time(now)
    ) { (device: try Self.device($0), sealedToken: $0.bytes(12)) }
  }

  func page(of merchant: MerchantID, _ filter: DeviceFilter, _ page: PageRequest) throws -> Page<Device> {
    let labels = filter.metadata.map(\.label)
    let place = filter.locationID?.bytes ?? Totals.anywhere
    var query = Lists.Query(table: "devices", columns: Self.listedColumns, merchant: merchant)
    query.kind = .devices
    query.place = place
    query.labels = labels
    if labels.isEmpty {
      query.predicate = "t.deleted_at IS NULL"
      if let location = filter.locationID { query.equals = [("location_id", .id(location))] }
    }
    if labels.count <= 1 { query.total = (.devices, place, labels.isEmpty ? [""] : labels) }
    return try Lists(session: session).page(query, page) { try Self.device($0, from: 2) }
  }

  func hasAny(at location: LocationID, of merchant: MerchantID) throws -> Bool {
    try session.first(
      "SELECT 1 FROM devices WHERE merchant_id = $1 AND location_id = $2 AND deleted_at IS NULL LIMIT 1",
      .id(merchant), .id(location)
    ) { _ in true } ?? false
  }

  func update(_ device: Device) throws -> Bool {
    let before = try session.changed(
      """
      UPDATE devices AS t SET name = $1, metadata = $2, location_id = $3, version = $4
      FROM (SELECT merchant_id, id, metadata, location_id FROM devices
      WHERE merchant_id = $5 AND id = $6 AND version = $4::bigint - 1 AND deleted_at IS NULL FOR NO KEY UPDATE) AS before
      WHERE t.merchant_id = before.merchant_id AND t.id = before.id RETURNING before.metadata, before.location_id
      """,
      [
        .text(device.name), .text(MetadataText.encoded(device.metadata)), .id(device.locationID),
        .integer(device.version), .id(device.merchantID), .id(device.id),
      ]
    ) { row in (metadata: try MetadataText.decoded(row.bytes(0)), location: try row.optionalID(1, of: LocationID.self))
    }
    guard let before else { return false }
    if before.metadata != device.metadata || before.location != device.locationID {
      let listings = MetadataListings(session: session)
      let old = MetadataListings.Element(
        merchantID: device.merchantID, locationID: before.location, metadata: before.metadata,
        createdAt: device.createdAt, id: device.id.bytes)
      try listings.remove(old, from: [.devices])
      try listings.add(listed(device), to: [.devices])
    }
    return true
  }

  func delete(_ device: Device, at now: Timestamp) throws -> Bool {
    let before = try session.changed(
      """
      UPDATE devices SET deleted_at = $1, version = $2, token_hash = NULL, replay_hash = NULL,
      replay_sealed_token = NULL, replay_until = NULL
      WHERE merchant_id = $3 AND id = $4 AND version = $2::bigint - 1 AND deleted_at IS NULL RETURNING metadata, location_id
      """,
      [.time(now), .integer(device.version), .id(device.merchantID), .id(device.id)]
    ) { row in (metadata: try MetadataText.decoded(row.bytes(0)), location: try row.optionalID(1, of: LocationID.self))
    }
    guard let before else { return false }
    let old = MetadataListings.Element(
      merchantID: device.merchantID, locationID: before.location, metadata: before.metadata,
      createdAt: device.createdAt, id: device.id.bytes)
    try MetadataListings(session: session).remove(old, from: [.devices])
    return true
  }

  func touch(_ id: DeviceID, of merchant: MerchantID, at now: Timestamp) throws {
    try session.run(
      "UPDATE devices SET last_seen_at = $1 WHERE merchant_id = $2 AND id = $3 AND deleted_at IS NULL",
      .time(now), .id(merchant), .id(id))
  }

  func forgetReplays(before now: Timestamp, limit: Int) throws -> Int {
    try session.change(
      """
      UPDATE devices SET replay_hash = NULL, replay_sealed_token = NULL, replay_until = NULL
      WHERE (merchant_id, id) IN (SELECT merchant_id, id FROM devices WHERE replay_until <= $1
      LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
      """,
      .time(now), .integer(Int64(limit)))
  }

  private func listed(_ device: Device) -> MetadataListings.Element {
    MetadataListings.Element(
      merchantID: device.merchantID, locationID: device.locationID, metadata: device.metadata,
      createdAt: device.createdAt, id: device.id.bytes)
  }

  private static func device(_ row: PostgresRow, from start: Int32 = 0) throws -> Device {
    guard let platform = Device.Platform(rawValue: row.text(start + 4)) else {
      throw StoreError.unusable(OperatorDetail("a device has the unknown platform \(row.text(start + 4))"))
    }
    return Device(
      id: try row.id(start), merchantID: try row.id(start + 1), enrollmentID: try row.id(start + 2),
      hardwareID: row.text(start + 3), platform: platform, name: row.optionalText(start + 5),
      metadata: try MetadataText.decoded(row.bytes(start + 6)), locationID: try row.optionalID(start + 7),
      createdAt: row.time(start + 8), lastSeenAt: row.optionalTime(start + 9),
      keyThumbprint: row.optionalBytes(start + 10), version: row.integer(start + 11))
  }
}
