import KassaService

/// What operators and tools ask of the server itself.
enum ServerOperations {
  static let all: [Operation] = [
    .open("getHealth", .get, "/health") { _ in .json(200, jsonObject { $0.member("status", "ok") }) },
    .open("getReadiness", .get, "/ready") { call in
      if call.call.api.hooks.draining.hasBegun { throw RequestFailure.draining }
      try await call.service.checkReadiness()
      return .json(200, jsonObject { $0.member("status", "ready") })
    },
    .open("getMetrics", .get, "/metrics") { call in
      .text(try await call.call.api.hooks.metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
    },
    .open("getOpenAPIDocumentYAML", .get, "/openapi.yaml") { _ in
      .text(OpenAPIDocument.yaml, type: "application/yaml")
    },
    .open("getOpenAPIDocumentJSON", .get, "/openapi.json") { _ in .json(200, try OpenAPIDocument.json.get()) },
  ]
}
