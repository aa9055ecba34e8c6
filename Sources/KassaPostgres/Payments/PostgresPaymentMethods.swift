import KassaDomain
import KassaStore
import KassaStoreText

struct PostgresPaymentMethods: PaymentMethodTable {
  let session: PostgresSession
  private static let columns = """
    id, merchant_id, method, provider, is_current, is_on, capture_policy, settings, sealed_secrets, is_built_in,
    created_at, updated_at, version
    """

  func insert(_ configured: ConfiguredMethod) throws {
    let details = configured.details
    try session.run(
      """
      INSERT INTO payment_methods (\(Self.columns)) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
      """,
      .id(configured.id), .id(configured.merchantID), .text(configured.method.rawValue),
      .text(configured.provider.rawValue), .flag(configured.isCurrent), .flag(details.isOn),
      .text(details.capturePolicy.rawValue), .text(ProviderText.encoded(details.settings)),
      .text(ProviderText.encoded(details.sealedSecrets)), .flag(details.isBuiltIn), .time(configured.createdAt),
      .time(configured.updatedAt), .integer(configured.version))
  }

  func find(_ method: PaymentMethod, _ provider: ProviderName, of merchant: MerchantID) throws -> ConfiguredMethod? {
    try session.first(
      """
      SELECT \(Self.columns) FROM payment_methods
      WHERE merchant_id = $1 AND method = $2 AND provider = $3\(session.locking("FOR SHARE"))
      """,
      .id(merchant), .text(method.rawValue), .text(provider.rawValue)
    ) { try Self.configured($0) }
  }

  /// In a write body they stay as they are until its commit.
  func current(of merchant: MerchantID) throws -> [ConfiguredMethod] {
    try session.all(
      """
      SELECT \(Self.columns) FROM payment_methods
      WHERE merchant_id = $1 AND is_current ORDER BY method\(session.locking("FOR SHARE"))
      """,
      .id(merchant)
    ) { try Self.configured($0) }
  }

  func update(_ configured: ConfiguredMethod) throws -> Bool {
    let details = configured.details
    return try session.change(
      """
      UPDATE payment_methods SET is_current = $1, is_on = $2, capture_policy = $3, settings = $4, sealed_secrets = $5,
      is_built_in = $6, updated_at = $7, version = $8
      WHERE merchant_id = $9 AND id = $10 AND version = $8::bigint - 1
      """,
      .flag(configured.isCurrent), .flag(details.isOn), .text(details.capturePolicy.rawValue),
      .text(ProviderText.encoded(details.settings)), .text(ProviderText.encoded(details.sealedSecrets)),
      .flag(details.isBuiltIn), .time(configured.updatedAt), .integer(configured.version), .id(configured.merchantID),
      .id(configured.id)) == 1
  }

  func delete(_ method: PaymentMethod, of merchant: MerchantID) throws -> [ConfiguredMethod] {
    try session.all(
      """
      WITH removed AS (DELETE FROM payment_methods WHERE merchant_id = $1 AND method = $2 RETURNING \(Self.columns))
      SELECT \(Self.columns) FROM removed ORDER BY provider
      """,
      .id(merchant), .text(method.rawValue)
    ) { try Self.configured($0) }
  }

  private static func configured(_ row: PostgresRow) throws -> ConfiguredMethod {
    guard let method = PaymentMethod(rawValue: row.text(2)), let provider = ProviderName(rawValue: row.text(3)),
      let policy = CapturePolicy(rawValue: row.text(6))
    else { throw StoreError.unusable(OperatorDetail("a payment method's row cannot be read")) }
    return ConfiguredMethod(
      id: try row.id(0), merchantID: try row.id(1), method: method, provider: provider,
      details: ConfiguredMethod.Details(
        isOn: row.bool(5), capturePolicy: policy, settings: try ProviderText.texts(row.text(7)),
        sealedSecrets: try ProviderText.bytes(row.text(8)), isBuiltIn: row.bool(9)),
      isCurrent: row.bool(4), createdAt: row.time(10), updatedAt: row.time(11), version: row.integer(12))
  }
}
