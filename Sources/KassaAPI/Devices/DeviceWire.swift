import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Devices as JSON.
enum DeviceWire {
  static func registration(_ object: JSONObject, call: Call) throws -> RegisterDevice {
    var fields = FieldReader(object)
    // Any text is a code or a token: one that cannot be right is answered as one that is unknown.
    let code = fields.text("enrollment_code", characters: 0...APILimits.registrationBodyBytesMax)
    let token = fields.text("enrollment_token", characters: 0...APILimits.registrationBodyBytesMax)
    switch (fields.has("enrollment_code"), fields.has("enrollment_token")) {
    case (false, false): fields.refuse("enrollment_code", "is required, or enrollment_token")
    case (true, true): fields.refuse("enrollment_token", "must be left out beside enrollment_code")
    case (true, false), (false, true): break
    }
    let hardwareID = fields.requiredText("hardware_id", characters: 1...APILimits.hardwareIDCharactersMax)
    let platform = fields.requiredChoice("platform", Device.Platform.self)
    let name = fields.text("name", characters: 1...APILimits.nameCharactersMax)
    let registrationID = fields.identifier("registration_id", of: RegisterDevice.self)
    var thumbprint: [UInt8]?
    if let jwk = fields.object("public_key") {
      thumbprint = PublicKeyJWK(jwk)?.thumbprint
      if thumbprint == nil {
        fields.refuse("public_key", "must be a public P-256 key as a JWK: kty EC, crv P-256, x, y, and no d")
      }
    }
    try fields.finish()
    guard let hardwareID, let platform, let proof = code.map(RegisterDevice.Proof.code) ?? token.map({ .token($0) })
    else { preconditionFailure("a required field was left out without a flaw") }
    return RegisterDevice(
      proof: proof, hardwareID: hardwareID, platform: platform, name: name,
      registrationID: registrationID?.description, keyThumbprint: thumbprint, source: call.source,
      requestID: call.requestID)
  }

  static func replacement(_ object: JSONObject) throws -> Device.Replacement {
    var fields = FieldReader(object)
    let name = fields.text("name", characters: 1...APILimits.nameCharactersMax)
    let metadata = fields.metadata("metadata")
    let locationID = fields.identifier("location_id", of: Location.self)
    try fields.finish()
    return Device.Replacement(name: name, metadata: metadata, locationID: locationID)
  }

  static func write(_ device: Device, at now: Timestamp, _ object: inout JSONWriter) {
    object.member("id", device.id)
    object.member("device_id", device.id)
    object.member("hardware_id", device.hardwareID)
    object.member("unique_id", device.hardwareID)
    object.member("merchant_id", device.merchantID)
    object.member("location_id", device.locationID)
    object.member("name", device.name)
    object.member("platform", device.platform.rawValue)
    object.member("metadata", device.metadata)
    object.member("created_at", device.createdAt)
    object.member("status", device.isOnline(at: now) ? "ONLINE" : "OFFLINE")
    object.member("last_seen_at", device.lastSeenAt)
  }

  static func write(_ registered: RegisteredDevice, at now: Timestamp, _ object: inout JSONWriter) {
    write(registered.device, at: now, &object)
    object.member(
      "credentials",
      object: { credentials in
        credentials.member("bearer_token", registered.bearerToken)
        credentials.member("issuedAt", registered.device.createdAt)
      })
  }

  static func position(_ device: Device) -> PagePosition {
    PagePosition(createdAt: device.createdAt, id: device.id.of(EventSubject.self))
  }
}
