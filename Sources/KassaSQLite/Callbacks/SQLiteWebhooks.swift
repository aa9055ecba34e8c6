import KassaDomain
import KassaStore

struct SQLiteWebhooks: WebhookTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, name, url, events, sealed_secret, previous_sealed_secret, previous_secret_until, created_at,
    disabled_at, disabled_reason, version
    """

  func insert(_ destination: WebhookDestination) throws {
    let details = destination.details
    try connection.run(
      "INSERT INTO webhooks (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      .id(destination.id), .id(destination.merchantID), .text(details.name), .text(details.url.text),
      .text(Self.events(details.subscription)), .blob(destination.sealedSecret), .blob(destination.previous?.sealed),
      .time(destination.previous?.validUntil), .time(destination.createdAt), .time(destination.disabled?.at),
      .text(destination.disabled?.reason.rawValue), .integer(destination.version))
  }

  func find(_ id: WebhookID, of merchant: MerchantID) throws -> WebhookDestination? {
    try connection.first(
      "SELECT \(Self.columns) FROM webhooks WHERE merchant_id = ? AND id = ? AND deleted_at IS NULL",
      .id(merchant), .id(id), read: Self.destination)
  }

  func count(of merchant: MerchantID) throws -> Int {
    try connection.first(
      "SELECT count(*) FROM webhooks WHERE merchant_id = ? AND deleted_at IS NULL", .id(merchant)
    ) { Int($0.integer(0)) } ?? 0
  }

  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<WebhookDestination> {
    try TablePages(connection: connection).page(
      of: merchant, page, table: "(SELECT * FROM webhooks WHERE deleted_at IS NULL)", columns: Self.columns,
      Self.destination)
  }

  func enabled(of merchant: MerchantID) throws -> [(id: WebhookID, subscription: WebhookSubscription)] {
    try connection.all(
      "SELECT id, events FROM webhooks WHERE merchant_id = ? AND disabled_at IS NULL AND deleted_at IS NULL",
      .id(merchant)
    ) { (id: try $0.id(0), subscription: Self.subscription($0.optionalText(1))) }
  }

  func update(_ destination: WebhookDestination) throws -> Bool {
    let details = destination.details
    let updated = try connection.run(
      """
      UPDATE webhooks SET name = ?, url = ?, events = ?, sealed_secret = ?, previous_sealed_secret = ?,
      previous_secret_until = ?, disabled_at = ?, disabled_reason = ?, version = ?
      WHERE merchant_id = ? AND id = ? AND version = ? AND deleted_at IS NULL
      """,
      .text(details.name), .text(details.url.text), .text(Self.events(details.subscription)),
      .blob(destination.sealedSecret), .blob(destination.previous?.sealed), .time(destination.previous?.validUntil),
      .time(destination.disabled?.at), .text(destination.disabled?.reason.rawValue), .integer(destination.version),
      .id(destination.merchantID), .id(destination.id), .integer(destination.version - 1))
    guard updated == 1 else { return false }
    if destination.disabled == nil {
      try connection.run(
        """
        INSERT INTO callback_queues (merchant_id, webhook_id, due_at)
        SELECT merchant_id, webhook_id, min(due_at) FROM callback_chains WHERE merchant_id = ? AND webhook_id = ?
        GROUP BY merchant_id, webhook_id ON CONFLICT DO NOTHING
        """,
        .id(destination.merchantID), .id(destination.id))
    }
    return true
  }

  func delete(_ destination: WebhookDestination, at now: Timestamp) throws -> Bool {
    try connection.run(
      """
      UPDATE webhooks SET deleted_at = ?, version = ?, sealed_secret = x'', previous_sealed_secret = NULL,
      previous_secret_until = NULL WHERE merchant_id = ? AND id = ? AND version = ? AND deleted_at IS NULL
      """,
      .time(now), .integer(destination.version), .id(destination.merchantID), .id(destination.id),
      .integer(destination.version - 1)) == 1
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

  private static func destination(_ row: SQLRow) throws -> WebhookDestination {
    guard let url = try? WebhookURL(row.text(3)) else { throw damaged("URL") }
    var disabled: WebhookDestination.Disabled?
    if let at = row.optionalTime(9) {
      guard let reason = WebhookDestination.Reason(rawValue: row.text(10)) else { throw damaged("reason") }
      disabled = WebhookDestination.Disabled(at: at, reason: reason)
    }
    var previous: WebhookDestination.PreviousSecret?
    if let sealed = row.optionalBlob(6) {
      previous = WebhookDestination.PreviousSecret(sealed: sealed, validUntil: row.time(7))
    }
    return WebhookDestination(
      id: try row.id(0), merchantID: try row.id(1),
      details: WebhookDestination.Details(
        name: row.text(2), url: url, subscription: Self.subscription(row.optionalText(4))),
      sealedSecret: row.blob(5), previous: previous, disabled: disabled, createdAt: row.time(8),
      version: row.integer(11))
  }

  private static func damaged(_ what: String) -> StoreError {
    .unusable(OperatorDetail("a webhook has an unreadable \(what)"))
  }
}
