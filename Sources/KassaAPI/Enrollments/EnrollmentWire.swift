import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Enrollments as JSON.
enum EnrollmentWire {
  /// The other way to say how long an enrollment lives (contract, section 2, `ttl`).
  private enum Life: String, CaseIterable {
    case twoHours = "TWO_HOURS"
    case twentyFourHours = "TWENTY_FOUR_HOURS"
    case fortyEightHours = "FORTY_EIGHT_HOURS"
    case seventyTwoHours = "SEVENTY_TWO_HOURS"

    var milliseconds: Int64 {
      switch self {
      case .twoHours: 7_200_000
      case .twentyFourHours: 86_400_000
      case .fortyEightHours: 172_800_000
      case .seventyTwoHours: 259_200_000
      }
    }
  }

  static func command(_ object: JSONObject) throws -> CreateEnrollment {
    var fields = FieldReader(object)
    let metadata = fields.metadata("metadata")
    let expiresIn = fields.integer("expires_in", Limits.enrollmentLifeMilliseconds, unit: "milliseconds")
    let life = fields.choice("ttl", Life.self)
    if fields.has("expires_in"), fields.has("ttl") {
      fields.refuse("ttl", "must be left out beside expires_in: they say the same thing")
    }
    let locationID = fields.identifier("location_id", of: Location.self)
    try fields.finish()
    return CreateEnrollment(
      metadata: metadata,
      lifeMilliseconds: expiresIn ?? life?.milliseconds ?? Limits.enrollmentLifeDefaultMilliseconds,
      locationID: locationID)
  }

  @Sendable static func created(_ enrollment: ReadableEnrollment) -> RenderedAnswer {
    RenderedAnswer(status: 201, body: jsonObject { write(enrollment, &$0) })
  }

  static func write(_ readable: ReadableEnrollment, _ object: inout JSONWriter) {
    let enrollment = readable.enrollment
    object.member("enrollment_id", enrollment.id)
    object.member("enrollment_code", readable.code)
    object.member("enrollment_url", readable.url)
    object.member("expires_at", enrollment.expiresAt)
    object.member("status", readable.status.rawValue)
    object.member("metadata", enrollment.metadata)
    object.member("location_id", enrollment.locationID)
    object.member("created_at", enrollment.createdAt)
  }

  static func position(_ readable: ReadableEnrollment) -> PagePosition {
    PagePosition(createdAt: readable.enrollment.createdAt, id: readable.enrollment.id.of(EventSubject.self))
  }
}
