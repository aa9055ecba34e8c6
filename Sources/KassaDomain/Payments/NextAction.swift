/// What the phone asks the customer to do while an attempt is open (contract, section 7).
package enum NextAction: Equatable, Sendable {
  /// A card is held to the reader. `clientSecret` is what a reader inside the phone collects with; `nil` where the reader
  /// is told by the server.
  case tap(clientSecret: String?)
  /// A code is scanned.
  case showQR(QRCode)

  package struct QRCode: Equatable, Sendable {
    /// What the code says, to the letter.
    package let text: String
    /// When the provider stops taking it.
    package let expiresAt: Timestamp?
    /// The customer opened it and is about to decide.
    package let isBuyerPaying: Bool

    package init(text: String, expiresAt: Timestamp?, isBuyerPaying: Bool = false) {
      self.text = text
      self.expiresAt = expiresAt
      self.isBuyerPaying = isBuyerPaying
    }
  }
}
