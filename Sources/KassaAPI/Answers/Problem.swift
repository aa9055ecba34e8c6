import HTTPTypes
import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// The answer to a failure, as `application/problem+json` (RFC 9457; contract, section 1, "Errors").
struct Problem: Sendable {
  let code: ProblemCode
  let detail: String?
  let flaws: [FieldFlaw]
  let headers: [(name: HTTPField.Name, value: String)]
  /// For the operator's log; never part of the answer.
  let operatorDetail: OperatorDetail?
  /// The word of the vendor's order management, where `code` alone does not tell which.
  let vendorCode: String?

  private init(
    _ code: ProblemCode, detail: String?, flaws: [FieldFlaw] = [],
    headers: [(name: HTTPField.Name, value: String)] = [], operatorDetail: OperatorDetail? = nil,
    vendorCode: String? = nil
  ) {
    self.code = code
    self.detail = detail
    self.flaws = flaws
    self.headers = headers
    self.operatorDetail = operatorDetail
    self.vendorCode = vendorCode
  }

  /// A phone whose clock is wrong cannot make a proof that holds, unless it learns what time it is here.
  private var tellsTime: Bool { code == .proofInvalid }

  func answer(requestID: String, at now: Timestamp? = nil) -> Answer {
    let body = jsonObject { object in
      object.member("type", "about:blank")
      object.member("title", code.title)
      object.member("status", code.status)
      object.member("detail", detail)
      object.member("code", code.rawValue)
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
    var answer = Answer(status: code.status, contentType: "application/problem+json", body: body)
    answer.headers = headers
    return answer
  }

  /// The same in the shape of the vendor's order management (contract, section 10): its words where it has one, and this
  /// API's own word beside it.
  func orderManagementAnswer(requestID: String) -> Answer {
    let usualCode =
      switch code {
      case .notFound: "NO_SUCH_ORDER"
      case .validationFailed, .malformedJSON, .invalidHeader: "BAD_VALUE"
      default: code.rawValue.uppercased()
      }
    let messages = flaws.isEmpty ? [detail ?? code.title] : flaws.map { "\($0.path) \($0.message)" }
    let body = jsonObject { object in
      object.member("error_code", vendorCode ?? usualCode)
      object.member(
        "error_messages",
        array: { array in
          for message in messages.prefix(APILimits.flawsMax) { array.element(message) }
        })
      object.member("correlation_id", requestID)
      object.member("code", code.rawValue)
    }
    var answer = Answer.json(code.status, body)
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
        .internalError, detail: "something went wrong on this side; the request id helps the operator to find it",
        operatorDetail: OperatorDetail("\(type(of: error)): \(error)"))
    }
  }

  private static func of(_ failure: RequestFailure) -> Problem {
    switch failure {
    case .malformedRequest:
      return Problem(.malformedRequest, detail: "the bytes are not a request in HTTP/1.1, or its head is too large")
    case .unknownRoute: return notFound("there is no such route", vendorCode: "NOT_FOUND")
    case .noSuchMovement(.refund): return notFound("there is no refund with this id", vendorCode: "NO_SUCH_REFUND")
    case .noSuchMovement(.capture), .noSuchMovement(.release):
      return notFound("there is no capture with this id", vendorCode: "NO_SUCH_CAPTURE")
    case .wrongMethod(let allowed):
      let methods = allowed.map(\.rawValue).joined(separator: ", ")
      return Problem(.methodNotAllowed, detail: "this route answers \(methods)", headers: [(.allow, methods)])
    case .invalid(let flaws): return validation(flaws)
    case .malformedJSON(let message):
      return Problem(.malformedJSON, detail: message)
    case .invalidHeader(let name, let message):
      return Problem(.invalidHeader, detail: "\(name) \(message)")
    case .bodyTooLarge(let bytesMax):
      return Problem(
        .payloadTooLarge, detail: "the body must be at most \(bytesMax) bytes", headers: [(.connection, "close")])
    case .bodyTimedOut:
      return Problem(
        .requestTimeout,
        detail: "the body did not arrive in time: send it without pauses", headers: [(.connection, "close")])
    case .unsupportedMediaType:
      return Problem(.unsupportedMediaType, detail: "send the body with Content-Type: application/json")
    case .invalidOrderID:
      return Problem(.invalidOrderID, detail: "the order id must be a UUID, like f2a6c8e1-7d04-4b39-a5c7-18e9d2b3f670")
    case .tooManyRequests(let limit, let retryAfterSeconds):
      return tooMany(
        .rateLimited, detail: "at most \(limit.count) \(limit.of) a \(limit.window.rawValue)", limit: limit.count,
        windowSeconds: limit.window.seconds, retryAfterSeconds: retryAfterSeconds)
    case .notSignedIn:
      // Not `Basic`: a browser would ask for a password by itself.
      return Problem(
        .unauthorized, detail: "sign in with a valid API key",
        headers: [(.wwwAuthenticate, #"Portal realm="kassa""#)])
    case .crossSite:
      return Problem(
        .crossSiteRefused,
        detail: "a browser's request must come from a page of this server, with the header Kassa-Portal: 1")
    case .demoKeyWithheld:
      return Problem(
        .demoKeyWithheld,
        detail: "the playground's key is given to a browser on the same machine only, by 127.0.0.1 or localhost: "
          + "take it from the terminal where the playground runs")
    case .tooManySignIns(let retryAfterSeconds):
      return tooMany(
        .tooManySignIns, detail: "too many keys that do not sign in came from this address",
        limit: APILimits.failedSignInsPerSourcePerMinute, windowSeconds: 60, retryAfterSeconds: retryAfterSeconds)
    case .draining:
      return Problem(
        .draining, detail: "this server is about to stop: send requests to another", headers: [(.retryAfter, "1")])
    }
  }

  private static func of(_ failure: ServiceFailure, credential: Operation.Credential) -> Problem {
    switch failure {
    case .unauthorized:
      let (detail, challenge) =
        switch credential {
        case .apiKey: ("send a valid API key as Authorization: Basic", "Basic")
        case .device: ("send the device's token as Authorization: Bearer, or as DPoP with a proof", "Bearer")
        // Nobody but a provider is asked who it is without a credential of Kassa's.
        case .none:
          ("this is not shown to come from the provider that collects by this method: nothing was done", "Notification")
        }
      return Problem(.unauthorized, detail: detail, headers: [(.wwwAuthenticate, "\(challenge) realm=\"kassa\"")])
    case .proofInvalid(let reason):
      return Problem(
        .proofInvalid, detail: reason,
        headers: [(.wwwAuthenticate, #"DPoP error="invalid_dpop_proof", algs="ES256""#)])
    case .merchantMismatch:
      return Problem(
        .merchantMismatch, detail: "x-merchant-id is not the merchant of this API key; send that one, or leave it out")
    case .notFound: return notFound("there is nothing with this id")
    case .invalid(let flaws): return validation(flaws)
    case .enrollmentCodeInvalid:
      return Problem(
        .enrollmentCodeInvalid, detail: "the code or token is unknown, used, expired or cancelled: ask for a new one")
    case .enrollmentConsumed:
      return Problem(.enrollmentConsumed, detail: "a device was paired with this enrollment: delete the device instead")
    case .locationInUse:
      return Problem(
        .locationInUse,
        detail: "a device stands at this location or a live enrollment names it: move or delete those first")
    case .codeAttemptsExceeded(let scope, let retryAfterSeconds):
      let (limit, window, whose): (Int64, Int64, String) =
        switch scope {
        case .deployment(let limit): (limit, 86_400, "this installation")
        case .source(let limit): (limit, 60, "this address")
        }
      return tooMany(
        .codeAttemptsExceeded,
        detail: "too many attempts at codes for \(whose); pairing by the QR code still works", limit: limit,
        windowSeconds: window, retryAfterSeconds: retryAfterSeconds)
    case .idempotencyKeyReused:
      return Problem(
        .idempotencyKeyReused,
        detail: "this Idempotency-Key came with another body or query before: use a new key for a new request")
    case .sessionFinalized:
      return Problem(.sessionFinalized, detail: "the session is paid: the money had already moved")
    case .sessionOver:
      return Problem(.sessionOver, detail: "the session ended: read it to see how")
    case .paymentOutcomeUnknown:
      return Problem(
        .paymentOutcomeUnknown,
        detail: "it is not known yet whether money moved; Kassa goes on asking: read the session, or ask again",
        headers: [(.retryAfter, "5")])
    case .paymentInProgress:
      return Problem(.paymentInProgress, detail: "an attempt to pay is under way and must end first")
    case .noPaymentUnderWay:
      return Problem(.noPayment, detail: "there is no such attempt to pay under way: choose a method first")
    case .deviceBusy:
      return Problem(
        .deviceBusy, detail: "another session of this device is being paid: finish or cancel that one first")
    case .methodUnavailable:
      return Problem(.methodUnavailable, detail: "this method is not switched on: choose one of available_methods")
    case .notAllowed(let message):
      return Problem(.notAllowed, detail: message)
    case .paymentMethodInUse:
      return Problem(
        .paymentMethodInUse,
        detail: "money is still on its way by this method: switch it off, and remove it when every attempt has its "
          + "outcome")
    case .providerRefused(let message): return Problem(.providerRefused, detail: message)
    case .devicePaymentInFlight:
      return Problem(
        .devicePaymentInFlight, detail: "a payment on this device is under way: wait for its end, or cancel it")
    case .tooManyStreams(let owner, let max):
      return tooMany(
        .tooManyStreams, detail: "this \(owner) has \(max) streams open: close one", limit: Int64(max),
        windowSeconds: 60, retryAfterSeconds: 5)
    case .idempotencyInProgress:
      return Problem(
        .idempotencyInProgress,
        detail: "a request with this Idempotency-Key is still running", headers: [(.retryAfter, "1")])
    case .changedMeanwhile:
      return Problem(
        .storeUnavailable, detail: "somebody changed the same thing in the same moment; nothing was done, try again",
        headers: [(.retryAfter, "1")])
    }
  }

  private static func of(_ error: StoreError) -> Problem {
    switch error {
    case .conflict(let constraint):
      return Problem(
        .storeUnavailable, detail: "nothing was done, try again",
        headers: [(.retryAfter, "1")], operatorDetail: OperatorDetail("conflict on \(constraint.rawValue)"))
    case .unavailable(let detail):
      return Problem(
        .storeUnavailable,
        detail: "the database cannot serve now; nothing was done, try again", headers: [(.retryAfter, "5")],
        operatorDetail: detail)
    case .indeterminate(let detail):
      return Problem(
        .storeUnavailable,
        detail: "the database did not confirm: it may or may not have been done; ask before you repeat, "
          + "or repeat with the same Idempotency-Key", headers: [(.retryAfter, "5")], operatorDetail: detail)
    case .unusable(let detail):
      return Problem(
        .internalError, detail: "something went wrong on this side; the request id helps the operator to find it",
        operatorDetail: detail)
    }
  }

  private static func notFound(_ detail: String, vendorCode: String? = nil) -> Problem {
    Problem(.notFound, detail: detail, vendorCode: vendorCode)
  }

  private static func validation(_ flaws: [FieldFlaw]) -> Problem {
    Problem(.validationFailed, detail: flaws.first.map { "\($0.path) \($0.message)" }, flaws: flaws)
  }

  private static func tooMany(
    _ code: ProblemCode, detail: String, limit: Int64, windowSeconds: Int64, retryAfterSeconds: Int64
  ) -> Problem {
    Problem(
      code, detail: detail,
      headers: [
        (.retryAfter, "\(retryAfterSeconds)"),
        (.rateLimitPolicy, "\"\(code.rawValue)\";q=\(limit);w=\(windowSeconds)"),
        (.rateLimit, "\"\(code.rawValue)\";r=0;t=\(retryAfterSeconds)"),
      ])
  }
}
