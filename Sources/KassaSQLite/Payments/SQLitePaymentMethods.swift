import KassaDomain
import KassaStore
import KassaStoreText

struct SQLitePaymentMethods: PaymentMethodTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, method, provider, is_current, is_on, capture_policy, settings, sealed_secrets, is_built_in,
    created_at, updated_at, version
    """

  func insert(_ configured: ConfiguredMethod) throws {
    let details = configured.details
    try connection.run(
      "INSERT INTO payment_methods (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      .id(configured.id), .id(configured.merchantID), .text(configured.method.rawValue),
      .text(configured.provider.rawValue), .flag(configured.isCurrent), .flag(details.isOn),
      .text(details.capturePolicy.rawValue), .text(ProviderText.encoded(details.settings)),
      .text(ProviderText.encoded(details.sealedSecrets)), .flag(details.isBuiltIn), .time(configured.createdAt),
      .time(configured.updatedAt), .integer(configured.version))
  }

  func find(_ method: PaymentMethod, _ provider: ProviderName, of merchant: MerchantID) throws -> ConfiguredMethod? {
    try connection.first(
      "SELECT \(Self.columns) FROM payment_methods WHERE merchant_id = ? AND method = ? AND provider = ?",
      .id(merchant), .text(method.rawValue), .text(provider.rawValue), read: Self.configured)
  }

  func current(of merchant: MerchantID) throws -> [ConfiguredMethod] {
    try connection.all(
      "SELECT \(Self.columns) FROM payment_methods WHERE merchant_id = ? AND is_current = 1 ORDER BY method",
      .id(merchant), read: Self.configured)
  }

  func update(_ configured: ConfiguredMethod) throws -> Bool {
    let details = configured.details
    return try connection.run(
      """
      UPDATE payment_methods SET is_current = ?, is_on = ?, capture_policy = ?, settings = ?, sealed_secrets = ?,
      is_built_in = ?, updated_at = ?, version = ? WHERE merchant_id = ? AND id = ? AND version = ?
      """,
      .flag(configured.isCurrent), .flag(details.isOn), .text(details.capturePolicy.rawValue),
      .text(ProviderText.encoded(details.settings)), .text(ProviderText.encoded(details.sealedSecrets)),
      .flag(details.isBuiltIn), .time(configured.updatedAt), .integer(configured.version), .id(configured.merchantID),
      .id(configured.id), .integer(configured.version - 1)) == 1
  }

  func delete(_ method: PaymentMethod, of merchant: MerchantID) throws -> [ConfiguredMethod] {
    let removed = try connection.all(
      "SELECT \(Self.columns) FROM payment_methods WHERE merchant_id = ? AND method = ? ORDER BY provider",
      .id(merchant), .text(method.rawValue), read: Self.configured)
    try connection.run(
      "DELETE FROM payment_methods WHERE merchant_id = ? AND method = ?", .id(merchant), .text(method.rawValue))
    return removed
  }

  private static func configured(_ row: SQLRow) throws -> ConfiguredMethod {
    guard let method = PaymentMethod(rawValue: row.text(2)), let provider = ProviderName(rawValue: row.text(3)),
      let policy = CapturePolicy(rawValue: row.text(6))
    else { throw StoreError.unusable(OperatorDetail("a payment method's row cannot be read")) }
    return ConfiguredMethod(
      id: try row.id(0), merchantID: try row.id(1), method: method, provider: provider,
      details: ConfiguredMethod.Details(
        isOn: row.integer(5) == 1, capturePolicy: policy, settings: try ProviderText.texts(row.text(7)),
        sealedSecrets: try ProviderText.bytes(row.text(8)), isBuiltIn: row.integer(9) == 1),
      isCurrent: row.integer(4) == 1, createdAt: row.time(10), updatedAt: row.time(11), version: row.integer(12))
  }
}
