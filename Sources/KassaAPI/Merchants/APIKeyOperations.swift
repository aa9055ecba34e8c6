import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// A merchant's own keys, and the figure of how safe its codes are.
enum APIKeyOperations {
  static let all: [Operation] = [
    .merchant("listAPIKeys", .get, "/portal/v1/api-keys") { call in
      var query = call.query
      let page = query.page(sizeMax: APILimits.pageSizeMax)
      try query.finish()
      let found = try await call.service.apiKeys(page, as: call.principal)
      return .json(200, pageBody(found, page, position: APIKeyWire.position, write: APIKeyWire.write))
    },
    .merchant("createAPIKey", .post, "/portal/v1/api-keys", body: .json) { call in
      let body = try await call.body()
      let name = try APIKeyWire.name(body.object)
      let created = try await call.service.createAPIKey(
        name: name, as: call.principal, once: try call.once(body, render: APIKeyWire.created))
      return .answered(created, render: APIKeyWire.created)
    },
    .merchant("revokeAPIKey", .delete, "/portal/v1/api-keys/{id}") { call in
      try await call.service.revokeAPIKey(try call.call.pathID("id"), as: call.principal)
      return .noContent
    },
    .merchant("getCodeSecurity", .get, "/portal/v1/code-security") { call in
      let report = try await call.service.codeSecurity()
      return .json(200, jsonObject { CodeSecurityWire.write(report, &$0) })
    },
  ]
}

/// API keys as JSON.
enum APIKeyWire {
  static func name(_ object: JSONObject) throws -> String {
    var fields = FieldReader(object)
    let name = fields.requiredText("name", characters: 1...APILimits.nameCharactersMax)
    try fields.finish()
    return name ?? ""
  }

  @Sendable static func created(_ created: CreatedAPIKey) -> RenderedAnswer {
    let body = jsonObject { object in
      write(created.key, &object)
      object.member("api_key", created.text)
    }
    return RenderedAnswer(status: 201, body: body)
  }

  static func write(_ key: APIKey, _ object: inout JSONWriter) {
    object.member("id", key.id)
    object.member("name", key.name)
    object.member("prefix", key.prefix)
    object.member("created_at", key.createdAt)
    object.member("revoked_at", key.revokedAt)
  }

  static func position(_ key: APIKey) -> PagePosition {
    PagePosition(createdAt: key.createdAt, id: key.id.of(EventSubject.self))
  }
}

/// The promise about guessing codes as JSON.
enum CodeSecurityWire {
  static func write(_ report: CodeSecurityReport, _ object: inout JSONWriter) {
    object.member("live_codes", report.security.liveTotal)
    object.member("attempts_per_day", report.attemptsPerDay)
    object.member("attempts_used_today", report.attemptsUsedToday)
    object.member("attempts_per_source_per_minute", report.attemptsPerSourcePerMinute)
    object.member("code_length", report.security.symbolsForNextCode ?? EnrollmentCode.symbolsMax)
    object.member("chance_of_hit_per_day", json: .number("\(report.chanceOfHitPerDay)"))
    object.member("bound", json: .number("\(CodeSecurity.bound)"))
    object.member("bound_holds", report.boundHolds)
  }
}
