/// Money of an order that is to move: a capture, a refund, or the release of what was not captured. Its identifier is our
/// idempotency key at the provider.
package struct OrderMovement: Equatable, Identifiable, Sendable {
  package let id: OrderMovementID
  package let merchantID: MerchantID
  package let orderID: OrderID
  package let kind: Kind
  package let amount: Int64
  /// What the merchant says of it.
  package let reference: String?
  package let description: String?
  package let createdAt: Timestamp
  package private(set) var state: State
  /// What the provider calls it.
  package private(set) var references: ProviderReferences
  /// When to ask again if nothing is known before; `nil` once it is settled and not in doubt.
  package var checkAt: Timestamp?
  /// Times that were asked without a certain answer: the pause between them grows with it.
  package var checks: Int

  package enum Kind: String, CaseIterable, Sendable {
    case capture = "CAPTURE"
    case refund = "REFUND"
    case release = "RELEASE"
  }

  package enum State: Equatable, Sendable {
    /// The provider was asked and has not decided, or is not known to have. May follow: `done`, `refused`.
    case requested
    /// Certain. Of a refund may follow: `refused`, when the customer's bank sent the money back (`doubt`).
    case done(at: Timestamp)
    /// Certain; the words are the provider's, for the merchant. Nothing follows.
    case refused(String, at: Timestamp)

    package var name: StateName {
      switch self {
      case .requested: .requested
      case .done: .done
      case .refused: .refused
      }
    }
  }

  /// The states' names on the wire.
  package enum StateName: String, CaseIterable, Sendable {
    case requested = "REQUESTED"
    case done = "DONE"
    case refused = "REFUSED"
  }

  package init(
    id: OrderMovementID, merchantID: MerchantID, orderID: OrderID, kind: Kind, amount: Int64, reference: String?,
    description: String?, createdAt: Timestamp, state: State = .requested, references: ProviderReferences = [:],
    checkAt: Timestamp?, checks: Int = 0
  ) {
    self.id = id
    self.merchantID = merchantID
    self.orderID = orderID
    self.kind = kind
    self.amount = amount
    self.reference = reference
    self.description = description
    self.createdAt = createdAt
    self.state = state
    self.references = references
    self.checkAt = checkAt
    self.checks = checks
  }

  /// Keeps what the provider calls it. References beyond `ProviderReferences.bytesMax` are not kept.
  package mutating func keep(_ references: ProviderReferences) {
    let merged = self.references.merging(references)
    if merged.bytes <= ProviderReferences.bytesMax { self.references = merged }
  }

  /// The provider decided. Returns what the order is told; `nil` when it was settled before, which stays as it is, unless
  /// it is in doubt.
  package mutating func settle(_ outcome: State) -> Order.Command? {
    guard state == .requested || checkAt != nil, outcome != .requested else { return nil }
    let before = state
    checkAt = nil
    switch (before, outcome) {
    case (.requested, .done):
      state = outcome
      return .done(kind, amount)
    case (.requested, .refused):
      state = outcome
      return .refused(kind, amount)
    case (.done, .refused):
      state = outcome
      return .refundCameBack(amount)
    default: return nil
    }
  }

  /// A refund that was done may have come back: it is asked for again at `now`. Returns whether this is one.
  package mutating func doubt(at now: Timestamp) -> Bool {
    guard kind == .refund, case .done = state else { return false }
    checkAt = now
    return true
  }
}

package typealias OrderMovementID = Identifier<OrderMovement>
