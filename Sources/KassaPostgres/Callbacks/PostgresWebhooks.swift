import KassaDomain
import KassaStore

struct PostgresWebhooks: WebhookTable {
  let session: PostgresSession
  static let columnNames = [
    "id", "merchant_id", "name", "url", "events", "sealed_secret", "previous_sealed_secret", "previous_secret_until",
    "created_at", "disabled_at", "disabled_reason", "version",
  ]
  private static let columns = columnNames.joined(separator: ", ")
  private static let listedColumns = columnNames.map { "t.\($0)" }.joined(separator: ", ")

  func insert(_ destination: WebhookDestination) throws {
    let details = destination.details
    session.forgetShared()
    try session.run(
      "INSERT INTO webhooks (\(Self.columns)) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
      .id(destination.id), .id(destination.merchantID), .text(details.name), .text(details.url.text),
      .text(Self.events(details.subscription)), .bytes(destination.sealedSecret),
      .bytes(destination.previous?.sealed), .time(destination.previous?.validUntil), .time(destination.createdAt),
      .time(destination.disabled?.at), .text(destination.disabled?.reason.rawValue), .integer(destination.version))
  }

  func find(_ id: WebhookID, of merchant: MerchantID) throws -> WebhookDestination? {
    try session.first(
      """
      SELECT \(Self.columns) FROM webhooks
      WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL\(session.locking("FOR NO KEY UPDATE"))
      """,
      .id(merchant), .id(id)
    ) { try Self.destination($0) }
  }

  /// Whoever decides by the count adds to it alone.
  func count(of merchant: MerchantID) throws -> Int {
    if session.mode == .writing {
      try session.run("SELECT 1 FROM merchants WHERE id = $1 FOR NO KEY UPDATE", .id(merchant))
    }
    return try session.first(
      "SELECT count(*) FROM webhooks WHERE merchant_id = $1 AND deleted_at IS NULL", .id(merchant)
    ) { Int($0.integer(0)) } ?? 0
  }

  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<WebhookDestination> {
    var query = Lists.Query(table: "webhooks", columns: Self.listedColumns, merchant: merchant)
    query.predicate = "t.deleted_at IS NULL"
    return try Lists(session: session).page(query, page) { try Self.destination($0, from: 2) }
  }

  /// In a write body they stay until its commit, so that no delivery is left without its destination.
  func enabled(of merchant: MerchantID) throws -> [(id: WebhookID, subscription: WebhookSubscription)] {
    try session.allShared(
      """
      SELECT id, events FROM webhooks
      WHERE merchant_id = $1 AND disabled_at IS NULL AND deleted_at IS NULL\(session.locking("FOR KEY SHARE"))
      """,
      .id(merchant), subject: merchant.bytes
    ) { (id: try $0.id(0), subscription: Self.subscription($0.optionalText(1))) }
  }

  func update(_ destination: WebhookDestination) throws -> Bool {
    let details = destination.details
    session.forgetShared()
    let updated = try session.change(
      """
      UPDATE webhooks SET name = $1, url = $2, events = $3, sealed_secret = $4, previous_sealed_secret = $5,
      previous_secret_until = $6, disabled_at = $7, disabled_reason = $8, version = $9
      WHERE merchant_id = $10 AND id = $11 AND version = $9::bigint - 1 AND deleted_at IS NULL
      """,
      .text(details.name), .text(details.url.text), .text(Self.events(details.subscription)),
      .bytes(destination.sealedSecret), .bytes(destination.previous?.sealed), .time(destination.previous?.validUntil),
      .time(destination.disabled?.at), .text(destination.disabled?.reason.rawValue), .integer(destination.version),
      .id(destination.merchantID), .id(destination.id))
    guard updated == 1 else { return false }
    if destination.disabled == nil {
      let due = try session.first(
        "SELECT min(due_at) FROM callback_chains WHERE merchant_id = $1 AND webhook_id = $2",
        .id(destination.merchantID), .id(destination.id)
      ) { $0.optionalTime(0) }
      if let due, let due {
        session.effects.call(
          .init(merchant: destination.merchantID.bytes, webhook: destination.id.bytes), at: due.millisecondsSinceEpoch)
      }
    }
    return true
  }

  func delete(_ destination: WebhookDestination, at now: Timestamp) throws -> Bool {
    session.forgetShared()
    return try session.change(
      """
      UPDATE webhooks SET deleted_at = $1, version = $2, sealed_secret = ''::bytea, previous_sealed_secret = NULL,
      previous_secret_until = NULL WHERE merchant_id = $3 AND id = $4 AND version = $2::bigint - 1 AND deleted_at IS NULL
      """,
      .time(now), .integer(destination.version), .id(destination.merchantID), .id(destination.id)) == 1
  }

  /// Names hold no space.
  private static func events(_ subscription: WebhookSubscription) -> String? {
    switch subscription {
    case .all: nil
    case .only(let types): types.joined(separator: " ")
    }
  }

  private static func subscription(_ events: String?) -> WebhookSubscription {
    events.map { .only($0.split(separator: " ").map(String.init)) } ?? .all
  }

  static func destination(_ row: PostgresRow, from start: Int32 = 0) throws -> WebhookDestination {
    guard let url = try? WebhookURL(row.text(start + 3)) else { throw damaged("URL") }
    var disabled: WebhookDestination.Disabled?
    if let at = row.optionalTime(start + 9) {
      guard let reason = WebhookDestination.Reason(rawValue: row.text(start + 10)) else { throw damaged("reason") }
      disabled = WebhookDestination.Disabled(at: at, reason: reason)
    }
    var previous: WebhookDestination.PreviousSecret?
    if let sealed = row.optionalBytes(start + 6) {
      previous = WebhookDestination.PreviousSecret(sealed: sealed, validUntil: row.time(start + 7))
    }
    return WebhookDestination(
      id: try row.id(start), merchantID: try row.id(start + 1),
      details: WebhookDestination.Details(
        name: row.text(start + 2), url: url, subscription: Self.subscription(row.optionalText(start + 4))),
      sealedSecret: row.bytes(start + 5), previous: previous, disabled: disabled, createdAt: row.time(start + 8),
      version: row.integer(start + 11))
  }

  private static func damaged(_ what: String) -> StoreError {
    .unusable(OperatorDetail("a webhook has an unreadable \(what)"))
  }
}
