/// The kinds of problems: a stable word for programs each, with the one status and title that it is answered with. A word
/// never changes its meaning. `openapi.yaml` and `docs/errors.md` list them; a test holds both to this.
package enum ProblemCode: String, CaseIterable, Sendable {
  case malformedRequest = "malformed_request"
  case malformedJSON = "malformed_json"
  case validationFailed = "validation_failed"
  case invalidHeader = "invalid_header"
  case invalidOrderID = "invalid_order_id"
  case unauthorized
  case proofInvalid = "dpop_proof_invalid"
  case merchantMismatch = "merchant_mismatch"
  case crossSiteRefused = "cross_site_refused"
  case demoKeyWithheld = "demo_key_withheld"
  case notAllowed = "not_allowed"
  case notFound = "not_found"
  case enrollmentCodeInvalid = "enrollment_code_invalid"
  case methodNotAllowed = "method_not_allowed"
  case requestTimeout = "request_timeout"
  case enrollmentConsumed = "enrollment_consumed"
  case locationInUse = "location_in_use"
  case sessionFinalized = "session_finalized"
  case sessionOver = "session_over"
  case paymentOutcomeUnknown = "payment_outcome_unknown"
  case paymentInProgress = "payment_in_progress"
  case noPayment = "no_payment"
  case deviceBusy = "device_busy"
  case methodUnavailable = "method_unavailable"
  case paymentMethodInUse = "payment_method_in_use"
  case providerRefused = "provider_refused"
  case devicePaymentInFlight = "device_payment_in_flight"
  case idempotencyInProgress = "idempotency_in_progress"
  case payloadTooLarge = "payload_too_large"
  case unsupportedMediaType = "unsupported_media_type"
  case idempotencyKeyReused = "idempotency_key_reused"
  case rateLimited = "rate_limited"
  case tooManySignIns = "too_many_sign_ins"
  case codeAttemptsExceeded = "code_attempts_exceeded"
  case tooManyStreams = "too_many_streams"
  case internalError = "internal_error"
  case storeUnavailable = "store_unavailable"
  case draining

  package var status: Int { answered.status }
  /// The kind in words, for people.
  package var title: String { answered.title }

  private var answered: (status: Int, title: String) {
    switch self {
    case .malformedRequest: (400, "Malformed Request")
    case .malformedJSON: (400, "Malformed JSON")
    case .validationFailed: (400, "Validation Failed")
    case .invalidHeader: (400, "Invalid Header")
    case .invalidOrderID: (400, "Invalid Order Id")
    case .unauthorized, .proofInvalid: (401, "Unauthorized")
    case .merchantMismatch, .crossSiteRefused, .demoKeyWithheld: (403, "Forbidden")
    case .notAllowed: (403, "Not Allowed")
    case .notFound: (404, "Not Found")
    case .enrollmentCodeInvalid: (404, "Enrollment Code Invalid")
    case .methodNotAllowed: (405, "Method Not Allowed")
    case .requestTimeout: (408, "Request Timeout")
    case .enrollmentConsumed, .locationInUse, .sessionFinalized, .sessionOver, .paymentOutcomeUnknown,
      .paymentInProgress, .noPayment, .deviceBusy, .methodUnavailable, .paymentMethodInUse, .providerRefused,
      .devicePaymentInFlight, .idempotencyInProgress:
      (409, "Conflict")
    case .payloadTooLarge: (413, "Content Too Large")
    case .unsupportedMediaType: (415, "Unsupported Media Type")
    case .idempotencyKeyReused: (422, "Unprocessable Content")
    case .rateLimited, .tooManySignIns, .codeAttemptsExceeded, .tooManyStreams: (429, "Too Many Requests")
    case .internalError: (500, "Internal Server Error")
    case .storeUnavailable, .draining: (503, "Service Unavailable")
    }
  }
}
