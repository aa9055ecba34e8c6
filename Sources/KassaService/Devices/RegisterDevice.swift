import KassaDomain
import KassaStore

/// What a phone sends to be paired; already within the contract's limits.
package struct RegisterDevice: Sendable {
  /// What the phone shows of the enrollment: exactly one of the two.
  package enum Proof: Sendable {
    /// As typed. May be anything.
    case code(String)
    /// From the deep link. May be anything.
    case token(String)
  }

  package let proof: Proof
  package let hardwareID: String
  package let platform: Device.Platform
  package let name: String?
  /// A UUID that the phone made, to repeat a registration whose answer it lost.
  package let registrationID: String?
  /// JWK thumbprint (RFC 7638) of the key that the phone will prove with each call.
  package let keyThumbprint: [UInt8]?
  /// Where the request came from, in a canonical spelling.
  package let source: String
  package let requestID: String

  package init(
    proof: Proof, hardwareID: String, platform: Device.Platform, name: String?, registrationID: String?,
    keyThumbprint: [UInt8]?, source: String, requestID: String
  ) {
    self.proof = proof
    self.hardwareID = hardwareID
    self.platform = platform
    self.name = name
    self.registrationID = registrationID
    self.keyThumbprint = keyThumbprint
    self.source = source
    self.requestID = requestID
  }
}

/// A device and the bearer token that is shown this once.
package struct RegisteredDevice: Sendable {
  package let device: Device
  package let bearerToken: String
}

extension KassaService {
  /// Redeems an enrollment: at most one device per code, whatever races.
  ///
  /// A typed code costs an attempt of its source and of the deployment. Both are given back when the code is right; the
  /// deployment's also when it was malformed or UUID-shaped, and so no guess. Throws `ServiceFailure.codeAttemptsExceeded` when there is none left, and
  /// `ServiceFailure.enrollmentCodeInvalid`, after the same work, for every other reason not to pair.
  package func registerDevice(_ input: RegisterDevice) async throws -> RegisteredDevice {
    guard let registered = try await store.write(try redemption(input)) else {
      throw ServiceFailure.enrollmentCodeInvalid
    }
    return registered
  }

  /// The same for one of the merchant's own enrollments, once per idempotency key. A refusal changes nothing.
  func registerDevice(
    _ input: RegisterDevice, as principal: MerchantPrincipal, once: IdempotentRequest<RegisteredDevice>?
  ) async throws -> Answered<RegisteredDevice> {
    let redeem = try redemption(input)
    return try await writeOnce(once, for: principal.merchantID, at: now) { transaction in
      guard let registered = try redeem(transaction) else { throw ServiceFailure.enrollmentCodeInvalid }
      return registered
    }
  }

  /// What redeems an enrollment within a transaction. Gives `nil` for one that cannot be redeemed.
  private func redemption(
    _ input: RegisterDevice
  ) throws -> @Sendable (any WriteTransaction) throws -> RegisteredDevice? {
    let now = self.now
    var generator = SystemRandomNumberGenerator()
    let id = DeviceID(using: &generator)
    let token = SecretText.key(prefix: environment.deviceTokenPrefix)
    let proof = LookUpProof(input.proof, secrets: secrets)
    let replay = try input.registrationID.map { try registrationReplay(input, id: $0, token: token, at: now) }
    let secrets = self.secrets

    return { transaction in
      if let replay, let earlier = try transaction.devices.findReplay(requestHash: replay.requestHash, at: now) {
        let token = try secrets.opened(earlier.sealedToken, .deviceToken, owner: replay.requestHash)
        return RegisteredDevice(device: earlier.device, bearerToken: String(decoding: token, as: UTF8.self))
      }
      let attempt = try takeAttempt(proof, from: input.source, at: now, in: transaction)
      guard var enrollment = try proof.find(in: transaction.enrollments),
        let event = try? enrollment.apply(.redeem(by: id), at: now)
      else {
        if !proof.isGuess { try attempt?.giveBackToDeployment(in: transaction) }
        return nil
      }
      guard try transaction.enrollments.move(enrollment, from: .pending) else { return nil }
      try attempt?.giveBackWhole(in: transaction)
      let device = Device(
        id: id, merchantID: enrollment.merchantID, enrollmentID: enrollment.id, hardwareID: input.hardwareID,
        platform: input.platform, name: input.name, metadata: enrollment.metadata, locationID: enrollment.locationID,
        createdAt: now, lastSeenAt: now, keyThumbprint: input.keyThumbprint)
      try transaction.devices.insert(device, tokenHash: sha256(token.utf8), replay: replay)
      let origin = ChangeOrigin(actor: .enrollmentCode(enrollment.id), requestID: input.requestID)
      try record(
        origin.event(
          event, of: enrollment.id, merchant: device.merchantID, sequence: enrollment.version, at: now, related: id),
        in: transaction)
      try record(
        origin.event(
          .devicePaired, of: id, merchant: device.merchantID, sequence: device.version, at: now,
          related: enrollment.id, device: id), in: transaction)
      return RegisteredDevice(device: device, bearerToken: token)
    }
  }

  private func registrationReplay(
    _ input: RegisterDevice, id: String, token: String, at now: Timestamp
  ) throws -> RegistrationReplay {
    let shown =
      switch input.proof {
      case .code(let code): "code:" + (EnrollmentCode(typed: code)?.text ?? code)
      case .token(let token): "token:" + token
      }
    let key = input.keyThumbprint.map(base64URL) ?? ""
    let hash = secrets.lookUpHash([shown, id, input.hardwareID, input.platform.rawValue, key], .registration)
    return RegistrationReplay(
      requestHash: hash, sealedToken: try secrets.sealed(Array(token.utf8), .deviceToken, owner: hash),
      validUntil: now.adding(seconds: Limits.registrationReplaySeconds))
  }

  /// Takes an attempt for a typed proof; `nil` for one that cannot be guessed.
  private func takeAttempt(
    _ proof: LookUpProof, from source: String, at now: Timestamp, in transaction: any WriteTransaction
  ) throws -> TakenAttempt? {
    guard proof.isTyped else { return nil }
    let (minute, day) = (AttemptWindow.minute(now), AttemptWindow.day(now))
    let perSource = settings.codeAttemptsPerSourcePerMinute
    guard
      try transaction.budgets.take(
        .source(source), windowStart: minute.start, windowEnd: minute.end, limit: perSource)
    else {
      throw ServiceFailure.codeAttemptsExceeded(
        scope: .source(limit: perSource), retryAfterSeconds: minute.secondsLeft(at: now))
    }
    let perDay = CodeSecurity(
      liveCodes: try transaction.enrollments.liveCodes(), attemptsPerDay: settings.codeAttemptsPerDay
    ).attemptsThatHold
    guard try transaction.budgets.take(.deployment, windowStart: day.start, windowEnd: day.end, limit: perDay) else {
      throw ServiceFailure.codeAttemptsExceeded(
        scope: .deployment(limit: perDay), retryAfterSeconds: day.secondsLeft(at: now))
    }
    return TakenAttempt(source: source, minute: minute, day: day)
  }
}

/// An attempt that was counted, and can be given back within the same body.
private struct TakenAttempt {
  let source: String
  let minute: AttemptWindow
  let day: AttemptWindow

  func giveBackToDeployment(in transaction: any WriteTransaction) throws {
    try transaction.budgets.giveBack(.deployment, windowStart: day.start)
  }

  func giveBackWhole(in transaction: any WriteTransaction) throws {
    try giveBackToDeployment(in: transaction)
    try transaction.budgets.giveBack(.source(source), windowStart: minute.start)
  }
}

/// What a phone showed, as the hash to look up. A malformed code is hashed as it is, which no stored code equals, so that
/// it costs the same work as a wrong one.
private struct LookUpProof: Sendable {
  private enum Hash: Sendable {
    case code([UInt8])
    case token([UInt8])
  }

  private let hash: Hash
  /// Somebody typed it: it counts against the source's attempts.
  let isTyped: Bool
  /// It could have hit a typed code: a failure counts against the deployment's attempts.
  let isGuess: Bool

  init(_ proof: RegisterDevice.Proof, secrets: ServerSecrets) {
    switch proof {
    case .code(let typed):
      let code = EnrollmentCode(typed: typed)
      hash = .code(secrets.lookUpHash(code?.text ?? "malformed:" + typed, .enrollmentCode))
      isTyped = true
      isGuess = (code?.typedSymbols ?? 0) > 0
    case .token(let token):
      hash = .token(secrets.lookUpHash(token, .enrollmentToken))
      isTyped = false
      isGuess = false
    }
  }

  func find(in enrollments: any EnrollmentTable) throws -> Enrollment? {
    switch hash {
    case .code(let hash): try enrollments.findPending(codeHash: hash)
    case .token(let hash): try enrollments.findPending(tokenHash: hash)
    }
  }
}
