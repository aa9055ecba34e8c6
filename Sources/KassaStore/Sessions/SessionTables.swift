import KassaDomain

/// What a list of sessions is narrowed to. All that are given must match.
package struct SessionFilter: Equatable, Sendable {
  package let deviceID: DeviceID?
  package let locationID: LocationID?
  package let status: Session.StateName?
  package let merchantReference1: String?

  package init(
    deviceID: DeviceID? = nil, locationID: LocationID? = nil, status: Session.StateName? = nil,
    merchantReference1: String? = nil
  ) {
    self.deviceID = deviceID
    self.locationID = locationID
    self.status = status
    self.merchantReference1 = merchantReference1
  }
}

/// How far a request got to the clerk.
package enum DeliveryStep: String, Sendable {
  case pushed, fetched, shown
}

package protocol SessionReads {
  func find(_ id: SessionID, of merchant: MerchantID) throws -> Session?
  /// At the same cost however large the table is, but for several filters at once: those cost as much as the rarest has
  /// matches.
  func page(of merchant: MerchantID, _ filter: SessionFilter, _ page: PageRequest) throws -> Page<Session>
  /// The device's line: its CREATED and ACTIVE sessions, oldest first.
  func line(of device: DeviceID, merchant: MerchantID, limit: Int) throws -> [Session]
  /// CREATED and ACTIVE sessions whose time has come at `now`, soonest first; without those whose attempt is being ended
  /// for good already, which only its provider can hasten, and in a transaction that writes without those that another one
  /// is at work on.
  func due(at now: Timestamp, limit: Int) throws -> [Session]
}

package protocol SessionTable: SessionReads {
  func insert(_ session: Session) throws
  /// Saves the state that `session` was moved to, if the stored version is `version`. Returns whether it was. Throws
  /// `conflict(.activeSessionOfDevice)` when it became ACTIVE while another session of the device is.
  func save(_ session: Session, expecting version: Int64) throws -> Bool
  /// Notes the time of a delivery step, the first time only. Not a change of state: no version, no event.
  /// Returns whether it was the first time.
  func note(_ step: DeliveryStep, of id: SessionID, merchant: MerchantID, at now: Timestamp) throws -> Bool
}

package protocol PaymentReads {
  func find(_ id: PaymentID, of merchant: MerchantID) throws -> Payment?
  /// The session's attempts, oldest first.
  func all(of session: SessionID, merchant: MerchantID) throws -> [Payment]
  /// The attempts of each of these sessions, oldest first; none for a session without any.
  func all(ofEach sessions: [SessionID], merchant: MerchantID) throws -> [SessionID: [Payment]]
  /// Whether an attempt by this method wants looking after, now or later.
  func hasOpen(by method: PaymentMethod, of merchant: MerchantID) throws -> Bool
  /// Attempts by this method that want looking after at `now`, longest waiting first.
  func due(at now: Timestamp, by method: PaymentMethod, limit: Int) throws -> [Payment]
  /// Those of all merchants that are in `state` and want looking after.
  func unsettled(_ state: Payment.State) throws -> UnsettledPayments
}

/// Attempts that wait for their providers.
package struct UnsettledPayments: Equatable, Sendable {
  package let count: Int64
  package let oldestCreatedAt: Timestamp?
  /// The most often that one of them was asked about.
  package let checksMax: Int

  package init(count: Int64, oldestCreatedAt: Timestamp?, checksMax: Int) {
    self.count = count
    self.oldestCreatedAt = oldestCreatedAt
    self.checksMax = checksMax
  }
}

package protocol PaymentTable: PaymentReads {
  func insert(_ payment: Payment) throws
  /// Saves state, reason, card, what the provider said, and when to look again.
  func save(_ payment: Payment) throws
  /// Takes the look that is due: sets the next one to `next`, if the stored time is still `checkAt` of `payment`.
  /// Returns whether it was, so that one of several servers looks.
  func takeCheck(_ payment: Payment, next: Timestamp) throws -> Bool
}
