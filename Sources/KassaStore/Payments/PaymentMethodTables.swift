import KassaDomain

package protocol PaymentMethodReads {
  func find(_ method: PaymentMethod, _ provider: ProviderName, of merchant: MerchantID) throws -> ConfiguredMethod?
  /// Those that collect, at most one of each method, by the methods' names.
  func current(of merchant: MerchantID) throws -> [ConfiguredMethod]
}

package protocol PaymentMethodTable: PaymentMethodReads {
  /// Throws `conflict(.currentPaymentMethod)` when another of the merchant's is the current one of the method, and
  /// `conflict(.identifier)` when there is one of this provider.
  func insert(_ configured: ConfiguredMethod) throws
  /// Saves `configured` if the stored version is the one before. Returns whether it was. Throws as `insert` does.
  func update(_ configured: ConfiguredMethod) throws -> Bool
  /// Removes what the merchant has for the method, of every provider. Returns what was removed.
  func delete(_ method: PaymentMethod, of merchant: MerchantID) throws -> [ConfiguredMethod]
}
