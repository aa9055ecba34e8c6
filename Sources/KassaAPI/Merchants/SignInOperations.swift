import KassaDomain
import KassaJSON
import KassaService

/// How a browser becomes a merchant: an API key for a cookie (ADR 32).
enum SignInOperations {
  static let all: [Operation] = [
    .open("signIn", .post, "/portal/v1/sign-in", body: .json(bytesMax: APILimits.signInBodyBytesMax)) { call in
      try SameOriginProof.check(call.call)
      var fields = FieldReader(try await call.body().object)
      let key = fields.requiredText("api_key", characters: 1...APILimits.secretTextBytesMax)
      try fields.finish()
      let signedIn = try await signIn(key ?? "", call.call)
      let account = try await call.service.account(of: signedIn.principal)
      let environment = call.service.environment
      var answer = Answer.json(
        200, jsonObject { AccountWire.write(account, signedIn.principal, environment, &$0) })
      answer.headers.append(call.call.api.portalCookie.setting(signedIn.token, seconds: signedIn.seconds))
      return answer
    },
    .open("signOut", .post, "/portal/v1/sign-out") { call in
      try SameOriginProof.check(call.call)
      var answer = Answer.noContent
      answer.headers.append(call.call.api.portalCookie.removal)
      return answer
    },
    .merchant("getAccount", .get, "/portal/v1/me") { call in
      let account = try await call.service.account(of: call.principal)
      let environment = call.service.environment
      return .json(200, jsonObject { AccountWire.write(account, call.principal, environment, &$0) })
    },
  ]

  /// Only keys that do not sign in count against the address they come from.
  private static func signIn(_ key: String, _ call: Call) async throws -> PortalSignIn {
    let limiter = call.api.signInLimiter
    if let wait = limiter.secondsToWait(taking: call.source, nowNanoseconds: monotonicNanoseconds()) {
      throw RequestFailure.tooManySignIns(retryAfterSeconds: wait)
    }
    do {
      let signedIn = try await call.service.signIn(key: key, requestID: call.requestID)
      limiter.giveBack(call.source)
      call.notes.note(merchant: signedIn.principal.merchantID)
      return signedIn
    } catch ServiceFailure.unauthorized {
      throw RequestFailure.notSignedIn
    }
  }
}

extension APILimits {
  /// A body of one API key, which needs no credential.
  static let signInBodyBytesMax = 8 * 1024
}

/// Who is signed in, as JSON.
enum AccountWire {
  static func write(
    _ account: MerchantAccount, _ principal: MerchantPrincipal, _ environment: KassaEnvironment,
    _ object: inout JSONWriter
  ) {
    object.member("merchant_id", account.merchant.id)
    object.member("merchant_name", account.merchant.name)
    object.member("environment", environment.rawValue)
    object.member("api_key", object: { APIKeyWire.write(account.key, &$0) })
    object.member("signed_in_until", principal.signedInUntil)
  }
}
