import KassaDomain

/// What a list of enrollments is narrowed to. CANCELLED ones are never listed (contract, section 2).
package struct EnrollmentFilter: Equatable, Sendable {
  package let locationID: LocationID?
  /// All of these must match. At most 5, no key twice.
  package let metadata: [Metadata.Pair]
  package let includesConsumed: Bool

  package init(locationID: LocationID? = nil, metadata: [Metadata.Pair] = [], includesConsumed: Bool = true) {
    self.locationID = locationID
    self.metadata = metadata
    self.includesConsumed = includesConsumed
  }
}

package protocol EnrollmentReads {
  func find(_ id: EnrollmentID, of merchant: MerchantID) throws -> Enrollment?
  /// At the same cost however large the table is, but for filters by several metadata pairs: those cost as much as the
  /// rarest pair has matches.
  func page(of merchant: MerchantID, _ filter: EnrollmentFilter, _ page: PageRequest) throws -> Page<Enrollment>
  /// PENDING typed codes of the whole deployment by their number of random symbols; UUID-shaped ones are not counted.
  func liveCodes() throws -> [Int: Int64]
  /// PENDING enrollments whose time has come at `now`, soonest first.
  func due(at now: Timestamp, limit: Int) throws -> [Enrollment]
  /// Whether a PENDING enrollment that still lives at `now` names this location.
  func hasPending(at location: LocationID, of merchant: MerchantID, now: Timestamp) throws -> Bool
}

package protocol EnrollmentTable: EnrollmentReads {
  /// Throws `conflict(.enrollmentCode)` or `conflict(.enrollmentToken)` when a PENDING one has the same hash.
  func insert(_ enrollment: Enrollment) throws
  /// The PENDING enrollment, of any merchant, with this hash of its typed code. Whether its time came is not looked at.
  func findPending(codeHash: [UInt8]) throws -> Enrollment?
  /// The same by the hash of its deep link's token.
  func findPending(tokenHash: [UInt8]) throws -> Enrollment?
  /// Saves the state that `enrollment` was moved to, if the stored one is still in state `expected` with the version
  /// before. Erases code, token and hashes. Returns `false`, and writes nothing, when somebody was faster.
  func move(_ enrollment: Enrollment, from expected: Enrollment.StateName) throws -> Bool
}
