/// A one-time permission to pair one device (contract, section 2).
package struct Enrollment: Equatable, Sendable {
  package let id: EnrollmentID
  package let merchantID: MerchantID
  package let locationID: LocationID
  package let metadata: Metadata
  package let createdAt: Timestamp
  package let expiresAt: Timestamp
  package private(set) var state: State
  /// Counts the changes, from 1; the newest event of this enrollment carries the same number.
  package private(set) var version: Int64

  /// What is true only in one state is stored only there.
  package enum State: Equatable, Sendable {
    /// Waiting to be redeemed. May follow: `consumed`, `expired`, `cancelled`.
    case pending(SealedCode)
    /// Paired `device`. Nothing follows.
    case consumed(device: DeviceID)
    /// Its time came. May follow: `cancelled`.
    case expired
    /// Deleted. Nothing follows.
    case cancelled

    package var name: StateName {
      switch self {
      case .pending: .pending
      case .consumed: .consumed
      case .expired: .expired
      case .cancelled: .cancelled
      }
    }
  }

  /// The states' names on the wire.
  package enum StateName: String, CaseIterable, Sendable {
    case pending = "PENDING"
    case consumed = "CONSUMED"
    case expired = "EXPIRED"
    case cancelled = "CANCELLED"
  }

  package enum Command: Equatable, Sendable {
    /// A phone registers with the code.
    case redeem(by: DeviceID)
    /// The backend deletes the enrollment.
    case cancel
    /// The sweeper comes by.
    case expire
  }

  /// A new PENDING enrollment, version 1. Its event is `enrollment.created`.
  package init(
    id: EnrollmentID, merchantID: MerchantID, locationID: LocationID, metadata: Metadata,
    createdAt: Timestamp, expiresAt: Timestamp, code: SealedCode
  ) {
    self.id = id
    self.merchantID = merchantID
    self.locationID = locationID
    self.metadata = metadata
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.state = .pending(code)
    self.version = 1
  }

  /// What a store saved, as it was.
  package init(
    restoring id: EnrollmentID, merchantID: MerchantID, locationID: LocationID, metadata: Metadata,
    createdAt: Timestamp, expiresAt: Timestamp, state: State, version: Int64
  ) {
    self.id = id
    self.merchantID = merchantID
    self.locationID = locationID
    self.metadata = metadata
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.state = state
    self.version = version
  }

  /// The state as a reader sees it at `now`: a PENDING one whose time came reads EXPIRED before the sweeper was there.
  package func stateName(at now: Timestamp) -> StateName {
    if case .pending = state, now >= expiresAt { return .expired }
    return state.name
  }

  /// Applies `command` at `now`. Returns the event of the edge taken, or `nil` where the edge changes nothing.
  /// Throws, and changes nothing, where there is no such edge.
  package mutating func apply(_ command: Command, at now: Timestamp) throws(Refusal) -> EventType? {
    switch (state, command) {
    case (.pending, .redeem(let device)):
      guard now < expiresAt else { throw .enrollmentExpired }
      return move(to: .consumed(device: device), event: .enrollmentConsumed)
    case (.pending, .cancel):
      return move(to: .cancelled, event: .enrollmentCancelled)
    case (.pending, .expire):
      guard now >= expiresAt else { throw .enrollmentNotYetExpired }
      return move(to: .expired, event: .enrollmentExpired)
    case (.consumed, .redeem), (.consumed, .cancel):
      throw .enrollmentConsumed
    case (.consumed, .expire):
      return nil
    case (.expired, .redeem):
      throw .enrollmentExpired
    case (.expired, .cancel):
      return move(to: .cancelled, event: .enrollmentCancelled)
    case (.expired, .expire):
      return nil
    case (.cancelled, .redeem):
      throw .enrollmentCancelled
    case (.cancelled, .cancel), (.cancelled, .expire):
      return nil
    }
  }

  private mutating func move(to next: State, event: EventType) -> EventType {
    state = next
    version += 1
    return event
  }
}

/// What the store keeps of a code while it is PENDING, and erases afterwards (contract, section 2, "At rest").
package struct SealedCode: Equatable, Sendable {
  /// Keyed hash of the typed code, for look-up.
  package let codeHash: [UInt8]
  /// Keyed hash of the deep link's token, for look-up.
  package let tokenHash: [UInt8]
  /// Code and token, sealed with the server's key, so that operations can read them again.
  package let sealed: [UInt8]
  /// Random symbols of a typed code without its check symbol; 0 for a UUID-shaped code, which is not guessable.
  package let typedSymbols: Int

  package init(codeHash: [UInt8], tokenHash: [UInt8], sealed: [UInt8], typedSymbols: Int) {
    self.codeHash = codeHash
    self.tokenHash = tokenHash
    self.sealed = sealed
    self.typedSymbols = typedSymbols
  }
}
