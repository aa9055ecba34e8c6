import KassaDomain
import KassaStore

/// What a backend asks for when it creates an enrollment; already within the contract's limits.
package struct CreateEnrollment: Sendable {
  package let metadata: Metadata
  package let lifeMilliseconds: Int64
  /// `nil`: the merchant's only location.
  package let locationID: LocationID?

  package init(metadata: Metadata, lifeMilliseconds: Int64, locationID: LocationID?) {
    self.metadata = metadata
    self.lifeMilliseconds = lifeMilliseconds
    self.locationID = locationID
  }
}

/// An enrollment as its merchant may see it: with code and link while it can be redeemed.
package struct ReadableEnrollment: Sendable {
  package let enrollment: Enrollment
  package let status: Enrollment.StateName
  package let code: String?
  package let url: String?
}

extension KassaService {
  /// Creates a PENDING enrollment. Throws `ServiceFailure.invalid` for a location that is unknown, or left out while the
  /// merchant has none or several.
  package func createEnrollment(
    _ input: CreateEnrollment, as principal: MerchantPrincipal, once: IdempotentRequest<ReadableEnrollment>? = nil
  ) async throws -> Answered<ReadableEnrollment> {
    for _ in 1..<Limits.codeCollisionTriesMax {
      do {
        return try await tryToCreateEnrollment(input, as: principal, once: once)
      } catch StoreError.conflict(.enrollmentCode) {
        continue
      }
    }
    return try await tryToCreateEnrollment(input, as: principal, once: once)
  }

  private func tryToCreateEnrollment(
    _ input: CreateEnrollment, as principal: MerchantPrincipal, once: IdempotentRequest<ReadableEnrollment>?
  ) async throws -> Answered<ReadableEnrollment> {
    let now = self.now
    let merchant = principal.merchantID
    var generator = SystemRandomNumberGenerator()
    let id = EnrollmentID(using: &generator)
    let longCode = EnrollmentCode(uuid: Identifier(using: &generator))
    let symbols = SecretText.randomBytes(EnrollmentCode.symbolsMax).map { $0 % 32 }
    let token = SecretText.linkToken()
    let (settings, secrets) = (self.settings, self.secrets)
    let tokenHash = secrets.lookUpHash(token, .enrollmentToken)

    return try await writeOnce(once, for: merchant, at: now) { transaction in
      let location = try enrollmentLocation(input.locationID, of: merchant, in: transaction)
      let code: EnrollmentCode
      if input.lifeMilliseconds > Limits.typedCodeLifeMillisecondsMax {
        code = longCode
      } else {
        let security = CodeSecurity(
          liveCodes: try transaction.enrollments.liveCodes(), attemptsPerDay: settings.codeAttemptsPerDay)
        code = security.symbolsForNextCode.map { EnrollmentCode(symbols: symbols.prefix($0)) } ?? longCode
      }
      let enrollment = Enrollment(
        id: id, merchantID: merchant, locationID: location, metadata: input.metadata, createdAt: now,
        expiresAt: now.adding(milliseconds: input.lifeMilliseconds),
        code: SealedCode(
          codeHash: secrets.lookUpHash(code.text, .enrollmentCode),
          tokenHash: tokenHash,
          sealed: try secrets.sealed(Array("\(code.text) \(token)".utf8), .enrollmentCode, owner: id.bytes),
          typedSymbols: code.typedSymbols))
      try transaction.enrollments.insert(enrollment)
      try record(
        principal.origin.event(
          .enrollmentCreated, of: id, merchant: merchant, sequence: enrollment.version, at: now), in: transaction)
      return ReadableEnrollment(
        enrollment: enrollment, status: .pending, code: code.text, url: enrollmentURL(token: token))
    }
  }

  private func enrollmentLocation(
    _ wanted: LocationID?, of merchant: MerchantID, in transaction: any WriteTransaction
  ) throws -> LocationID {
    if let wanted {
      guard try transaction.locations.find(wanted, of: merchant) != nil else { throw unknownLocation }
      return wanted
    }
    guard let only = try transaction.locations.only(of: merchant) else {
      throw ServiceFailure.invalid([
        FieldFlaw("location_id", "is required, because the merchant does not have exactly one location")
      ])
    }
    return only.id
  }

  /// The refusal of a `location_id` that is not one of the merchant's.
  var unknownLocation: ServiceFailure {
    .invalid([FieldFlaw("location_id", "is not the id of a location of this merchant")])
  }

  /// The deep link that a QR carries. The token stands in the fragment, which browsers do not send to any server.
  private func enrollmentURL(token: String) -> String { "\(settings.publicURL())/pos/pair#\(token)" }

  /// Opens the sealed code while it is of use.
  func readable(_ enrollment: Enrollment, at now: Timestamp) throws -> ReadableEnrollment {
    let status = enrollment.stateName(at: now)
    guard status == .pending, case .pending(let code) = enrollment.state else {
      return ReadableEnrollment(enrollment: enrollment, status: status, code: nil, url: nil)
    }
    let opened = try secrets.opened(code.sealed, .enrollmentCode, owner: enrollment.id.bytes)
    guard let space = opened.firstIndex(of: UInt8(ascii: " ")) else {
      throw StoreError.unusable(OperatorDetail("a sealed code has not the parts it was sealed with"))
    }
    return ReadableEnrollment(
      enrollment: enrollment, status: status, code: String(decoding: opened[..<space], as: UTF8.self),
      url: enrollmentURL(token: String(decoding: opened[(space + 1)...], as: UTF8.self)))
  }
}
