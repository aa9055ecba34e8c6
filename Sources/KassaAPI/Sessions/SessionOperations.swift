import KassaDomain
import KassaService
import KassaStore

/// Contract, section 6.
enum SessionOperations {
  static let all: [Operation] = [
    .merchant("createSession", .post, "/ipp/v1/sessions", body: .json, key: .within) { call in
      var query = call.query
      let locationID = query.identifier("location_id", of: Location.self)
      let body = try await call.body()
      let input = try SessionWire.command(body.object, locationID: locationID, besides: query.flaws)
      let created = try await call.service.createSession(
        input, as: call.principal, once: try call.once(body, render: SessionWire.created))
      return .answered(created, render: SessionWire.created)
    },
    .merchant("listSessions", .get, "/ipp/v1/sessions", key: .within) { call in
      var query = call.query
      let filter = SessionFilter(
        deviceID: query.identifier("device_id", of: Device.self),
        locationID: query.identifier("location_id", of: Location.self),
        status: query.choice("status", Session.StateName.self), merchantReference1: query.single("merchant_reference1"))
      let page = query.page(sizeMax: APILimits.pageSizeMax)
      try query.finish()
      let found = try await call.service.sessions(filter, page, as: call.principal)
      return .json(200, pageBody(found, page, position: SessionWire.position, write: SessionWire.write))
    },
    .merchant("getSession", .get, "/ipp/v1/sessions/{session_id}", key: .within) { call in
      let view = try await call.service.session(
        try call.call.pathID("session_id"), as: .merchant(call.principal))
      return .json(200, jsonObject { SessionWire.write(view, &$0) })
    },
    .merchant("cancelSession", .put, "/ipp/v1/sessions/{session_id}/cancel") { call in
      let view = try await call.service.cancelSession(
        try call.call.pathID("session_id"), as: .merchant(call.principal))
      return .json(200, jsonObject { SessionWire.write(view, &$0) })
    },
  ]
}
