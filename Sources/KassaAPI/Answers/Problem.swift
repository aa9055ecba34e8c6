import HTTPTypes
import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// The answer to a failure, as `application/problem+json` (RFC 9457; contract, section 1, "Errors").
struct Problem: Sendable {
  let status: Int
  /// A stable word for programs.
  let code: String
  let title: String
  let detail: String?
  var flaws: [FieldFlaw] = []
  var headers: [(name: HTTPField.Name, value: String)] = []
  /// For the operator's log; never part of the answer.
  var operatorDetail: OperatorDetail?

  /// A phone whose clock is wrong cannot make a proof that holds, unless it learns what time it is here.
  private var tellsTime: Bool { code == "dpop_proof_invalid" }

  func answer(requestID: String, at now: Timestamp? = nil) -> Answer {
    let body = jsonObject { object in
      object.member("type", "about:blank")
      object.member("title", title)
      object.member("status", status)
      object.member("detail", detail)
      object.member("code", code)
      object.member("request_id", requestID)
      if tellsTime { object.member("server_time", now) }
      if !flaws.isEmpty {
        object.member(
          "errors",
          object: { errors in
            var named: Set<[UInt8]> = []
            for flaw in flaws.prefix(APILimits.flawsMax) where named.insert(Array(flaw.path.utf8)).inserted {
              errors.member(dynamicName: flaw.path, flaw.message)
            }
          })
      }
    }
    var answer = Answer(status: status, contentType: "application/problem+json", body: body)
    answer.headers = headers
    return answer
  }

  /// The same in the shape of the vendor's order management (contract, section 10): its words where it has one, and this
  /// API's own word beside it.
  func orderManagementAnswer(requestID: String) -> Answer {
    let vendorCode =
      switch code {
      case "not_found": "NO_SUCH_ORDER"
      case "validation_failed", "malformed_json", "invalid_header": "BAD_VALUE"
      default: code.uppercased()
      }
    let messages = flaws.isEmpty ? [detail ?? title] : flaws.map { "\($0.path) \($0.message)" }
    let body = jsonObject { object in
      object.member("error_code", vendorCode)
      object.member(
        "error_messages",
        array: { array in
          for message in messages.prefix(APILimits.flawsMax) { array.element(message) }
        })
      object.member("correlation_id", requestID)
      object.member("code", code)
    }
    var answer = Answer.json(status, body)
    answer.headers = headers
    return answer
  }

  /// Turns whatever was thrown into its answer: the one place where failures become HTTP.
  static func of(_ error: any Error, credential: Operation.Credential) -> Problem {
    switch error {
    case let failure as RequestFailure: of(failure)
    case let failure as ServiceFailure: of(failure, credential: credential)
    case let error as StoreError: of(error)
    default:
      Problem(
        status: 500, code: "internal_error", title: "Internal Server Error",
        detail: "something went wrong on this side; the request id helps the operator to find it",
        operatorDetail: OperatorDetail("\(type(of: error)): \(error)"))
    }
  }

  private static func of(_ failure: RequestFailure) -> Problem {
    switch failure {
    case .malformedRequest:
      return Problem(
        status: 400, code: "malformed_request", title: "Malformed Request",
        detail: "the bytes are not a request in HTTP/1.1, or its head is too large")
    case .unknownRoute: return notFound("there is no such route")
    case .wrongMethod(let allowed):
      var problem = Problem(
        status: 405, code: "method_not_allowed", title: "Method Not Allowed",
        detail: "this route answers \(allowed.map(\.rawValue).joined(separator: ", "))")
      problem.headers = [(.allow, allowed.map(\.rawValue).joined(separator: ", "))]
      return problem
    case .invalid(let flaws): return validation(flaws)
    case .malformedJSON(let message):
      return Problem(status: 400, code: "malformed_json", title: "Malformed JSON", detail: message)
    case .invalidHeader(let name, let message):
      return Problem(status: 400, code: "invalid_header", title: "Invalid Header", detail: "\(name) \(message)")
    case .bodyTooLarge(let bytesMax):
      return Problem(
        status: 413, code: "payload_too_large", title: "Content Too Large",
        detail: "the body must be at most \(bytesMax) bytes", headers: [(.connection, "close")])
    case .bodyTimedOut:
      return Problem(
        status: 408, code: "request_timeout", title: "Request Timeout",
        detail: "the body did not arrive in time: send it without pauses", headers: [(.connection, "close")])
    case .unsupportedMediaType:
      return Problem(
        status: 415, code: "unsupported_media_type", title: "Unsupported Media Type",
        detail: "send the body with Content-Type: application/json")
    case .invalidOrderID:
      return Problem(
        status: 400, code: "invalid_order_id", title: "Invalid Order Id",
        detail: "the order id must be a UUID, like f2a6c8e1-7d04-4b39-a5c7-18e9d2b3f670")
    case .tooManyRequests(let perSecond, let retryAfterSeconds):
      return tooMany(
        code: "rate_limited", detail: "at most \(perSecond) requests a second for one merchant",
        limit: Int64(perSecond),
        windowSeconds: 1, retryAfterSeconds: retryAfterSeconds)
    case .notSignedIn:
      // Not `Basic`: a browser would ask for a password by itself.
      return Problem(
        status: 401, code: "unauthorized", title: "Unauthorized", detail: "sign in with a valid API key",
        headers: [(.wwwAuthenticate, #"Portal realm="kassa""#)])
    case .crossSite:
      return Problem(
        status: 403, code: "cross_site_refused", title: "Forbidden",
        detail: "a browser's request must come from a page of this server, with the header Kassa-Portal: 1")
    case .demoKeyWithheld:
      return Problem(
        status: 403, code: "demo_key_withheld", title: "Forbidden",
        detail: "the playground's key is given to a browser on the same machine only, by 127.0.0.1 or localhost: "
          + "take it from the terminal where the playground runs")
    case .tooManySignIns(let retryAfterSeconds):
      return tooMany(
        code: "too_many_sign_ins", detail: "too many keys that do not sign in came from this address",
        limit: APILimits.failedSignInsPerSourcePerMinute, windowSeconds: 60, retryAfterSeconds: retryAfterSeconds)
    case .draining:
      return Problem(
        status: 503, code: "draining", title: "Service Unavailable",
        detail: "this server is about to stop: send requests to another", headers: [(.retryAfter, "1")])
    }
  }

  private static func of(_ failure: ServiceFailure, credential: Operation.Credential) -> Problem {
    switch failure {
    case .unauthorized:
      return Problem(
        status: 401, code: "unauthorized", title: "Unauthorized",
        detail: credential == .device
          ? "send the device's token as Authorization: Bearer, or as DPoP with a proof"
          : "send a valid API key as Authorization: Basic",
        headers: [(.wwwAuthenticate, credential == .device ? #"Bearer realm="kassa""# : #"Basic realm="kassa""#)])
    case .proofInvalid(let reason):
      return Problem(
        status: 401, code: "dpop_proof_invalid", title: "Unauthorized", detail: reason,
        headers: [(.wwwAuthenticate, #"DPoP error="invalid_dpop_proof", algs="ES256""#)])
    case .merchantMismatch:
      return Problem(
        status: 403, code: "merchant_mismatch", title: "Forbidden",
        detail: "x-merchant-id is not the merchant of this API key; send that one, or leave it out")
    case .notFound: return notFound("there is nothing with this id")
    case .invalid(let flaws): return validation(flaws)
    case .enrollmentCodeInvalid:
      return Problem(
        status: 404, code: "enrollment_code_invalid", title: "Enrollment Code Invalid",
        detail: "the code or token is unknown, used, expired or cancelled: ask for a new one")
    case .enrollmentConsumed:
      return Problem(
        status: 409, code: "enrollment_consumed", title: "Conflict",
        detail: "a device was paired with this enrollment: delete the device instead")
    case .locationInUse:
      return Problem(
        status: 409, code: "location_in_use", title: "Conflict",
        detail: "a device stands at this location or a live enrollment names it: move or delete those first")
    case .codeAttemptsExceeded(let scope, let retryAfterSeconds):
      let (limit, window, whose): (Int64, Int64, String) =
        switch scope {
        case .deployment(let limit): (limit, 86_400, "this installation")
        case .source(let limit): (limit, 60, "this address")
        }
      return tooMany(
        code: "code_attempts_exceeded",
        detail: "too many attempts at codes for \(whose); pairing by the QR code still works", limit: limit,
        windowSeconds: window, retryAfterSeconds: retryAfterSeconds)
    case .idempotencyKeyReused:
      return Problem(
        status: 422, code: "idempotency_key_reused", title: "Unprocessable Content",
        detail: "this Idempotency-Key came with another body or query before: use a new key for a new request")
    case .sessionFinalized:
      return conflict("session_finalized", "the session is paid: the money had already moved")
    case .sessionOver:
      return conflict("session_over", "the session ended: read it to see how")
    case .paymentOutcomeUnknown:
      var problem = conflict(
        "payment_outcome_unknown",
        "it is not known yet whether money moved; Kassa goes on asking: read the session, or ask again")
      problem.headers = [(.retryAfter, "5")]
      return problem
    case .paymentInProgress:
      return conflict("payment_in_progress", "an attempt to pay is under way and must end first")
    case .noPaymentUnderWay:
      return conflict("no_payment", "there is no such attempt to pay under way: choose a method first")
    case .deviceBusy:
      return conflict("device_busy", "another session of this device is being paid: finish or cancel that one first")
    case .methodUnavailable:
      return conflict("method_unavailable", "this method is not switched on: choose one of available_methods")
    case .notAllowed(let message):
      return Problem(status: 403, code: "not_allowed", title: "Not Allowed", detail: message)
    case .paymentMethodInUse:
      return conflict(
        "payment_method_in_use",
        "money is still on its way by this method: switch it off, and remove it when every attempt has its outcome")
    case .providerRefused(let message): return conflict("provider_refused", message)
    case .devicePaymentInFlight:
      return conflict(
        "device_payment_in_flight", "a payment on this device is under way: wait for its end, or cancel it")
    case .tooManyStreams:
      return tooMany(
        code: "too_many_streams", detail: "this device has \(Limits.streamsPerDeviceMax) streams open: close one",
        limit: Int64(Limits.streamsPerDeviceMax), windowSeconds: 60, retryAfterSeconds: 5)
    case .idempotencyInProgress:
      return Problem(
        status: 409, code: "idempotency_in_progress", title: "Conflict",
        detail: "a request with this Idempotency-Key is still running", headers: [(.retryAfter, "1")])
    case .changedMeanwhile:
      return Problem(
        status: 503, code: "store_unavailable", title: "Service Unavailable",
        detail: "somebody changed the same thing in the same moment; nothing was done, try again",
        headers: [(.retryAfter, "1")])
    }
  }

  private static func of(_ error: StoreError) -> Problem {
    switch error {
    case .conflict(let constraint):
      return Problem(
        status: 503, code: "store_unavailable", title: "Service Unavailable", detail: "nothing was done, try again",
        headers: [(.retryAfter, "1")], operatorDetail: OperatorDetail("conflict on \(constraint.rawValue)"))
    case .unavailable(let detail):
      return Problem(
        status: 503, code: "store_unavailable", title: "Service Unavailable",
        detail: "the database cannot serve now; nothing was done, try again", headers: [(.retryAfter, "5")],
        operatorDetail: detail)
    case .indeterminate(let detail):
      return Problem(
        status: 503, code: "store_unavailable", title: "Service Unavailable",
        detail: "the database did not confirm: it may or may not have been done; ask before you repeat, "
          + "or repeat with the same Idempotency-Key", headers: [(.retryAfter, "5")], operatorDetail: detail)
    case .unusable(let detail):
      return Problem(
        status: 500, code: "internal_error", title: "Internal Server Error",
        detail: "something went wrong on this side; the request id helps the operator to find it",
        operatorDetail: detail)
    }
  }

  private static func conflict(_ code: String, _ detail: String) -> Problem {
    Problem(status: 409, code: code, title: "Conflict", detail: detail)
  }

  private static func notFound(_ detail: String) -> Problem {
    Problem(status: 404, code: "not_found", title: "Not Found", detail: detail)
  }

  private static func validation(_ flaws: [FieldFlaw]) -> Problem {
    Problem(
      status: 400, code: "validation_failed", title: "Validation Failed",
      detail: flaws.first.map { "\($0.path) \($0.message)" }, flaws: flaws)
  }

  private static func tooMany(
    code: String, detail: String, limit: Int64, windowSeconds: Int64, retryAfterSeconds: Int64
  ) -> Problem {
    Problem(
      status: 429, code: code, title: "Too Many Requests", detail: detail,
      headers: [
        (.retryAfter, "\(retryAfterSeconds)"),
        (.rateLimitPolicy, "\"\(code)\";q=\(limit);w=\(windowSeconds)"),
        (.rateLimit, "\"\(code)\";r=0;t=\(retryAfterSeconds)"),
      ])
  }
}
