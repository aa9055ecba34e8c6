import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Contract, section 8: where callbacks go, and what became of them.
enum WebhookOperations {
  static let all: [Operation] = [
    .merchant("createWebhook", .post, "/portal/v1/webhooks", body: .json) { call in
      let body = try await call.body()
      let input = try WebhookWire.input(body.object)
      let created = try await call.service.createWebhook(
        input.details, enabled: input.enabled ?? true, as: call.principal,
        once: try call.once(body, render: WebhookWire.created))
      return .answered(created, render: WebhookWire.created)
    },
    .merchant("listWebhooks", .get, "/portal/v1/webhooks") { call in
      var query = call.query
      let page = query.page(sizeMax: APILimits.pageSizeMax)
      try query.finish()
      let found = try await call.service.webhooks(page, as: call.principal)
      let now = call.service.now
      return .json(
        200,
        pageBody(found, page, position: WebhookWire.position) { destination, object in
          WebhookWire.write(destination, at: now, &object)
        })
    },
    .merchant("getWebhook", .get, "/portal/v1/webhooks/{id}") { call in
      let destination = try await call.service.webhook(try call.call.pathID("id"), as: call.principal)
      let now = call.service.now
      return .json(200, jsonObject { WebhookWire.write(destination, at: now, &$0) })
    },
    .merchant("updateWebhook", .put, "/portal/v1/webhooks/{id}", body: .json) { call in
      let id: WebhookID = try call.call.pathID("id")
      let input = try WebhookWire.input(try await call.body().object)
      let destination = try await call.service.replaceWebhook(
        id, with: input.details, enabled: input.enabled, as: call.principal)
      let now = call.service.now
      return .json(200, jsonObject { WebhookWire.write(destination, at: now, &$0) })
    },
    .merchant("deleteWebhook", .delete, "/portal/v1/webhooks/{id}") { call in
      try await call.service.deleteWebhook(try call.call.pathID("id"), as: call.principal)
      return .noContent
    },
    .merchant("rotateWebhookSecret", .post, "/portal/v1/webhooks/{id}/rotate-secret") { call in
      let rotated = try await call.service.rotateWebhookSecret(
        try call.call.pathID("id"), as: call.principal, once: try call.onceWithoutBody(render: WebhookWire.rotated))
      return .answered(rotated, render: WebhookWire.rotated)
    },
    .merchant("sendWebhookTestEvent", .post, "/portal/v1/webhooks/{id}/test") { call in
      let sent = try await call.service.sendWebhookTestEvent(
        try call.call.pathID("id"), as: call.principal, once: try call.onceWithoutBody(render: WebhookWire.tested))
      return .answered(sent, render: WebhookWire.tested)
    },
    .merchant("listWebhookDeliveries", .get, "/portal/v1/webhooks/{id}/deliveries") { call in
      let id: WebhookID = try call.call.pathID("id")
      var query = call.query
      let state = query.choice("status", CallbackDelivery.StateName.self)
      let page = query.page(sizeMax: APILimits.deliveryPageSizeMax)
      try query.finish()
      let found = try await call.service.deliveries(to: id, state: state, page, as: call.principal)
      return .json(
        200, pageBody(found, page, position: DeliveryWire.position) { DeliveryWire.write($0, &$1) })
    },
    .merchant("resendWebhookDelivery", .post, "/portal/v1/webhook-deliveries/{delivery_id}/resend") { call in
      let resent = try await call.service.resendDelivery(
        try call.call.pathID("delivery_id"), as: call.principal,
        once: try call.onceWithoutBody(render: DeliveryWire.resent))
      return .answered(resent, render: DeliveryWire.resent)
    },
    .merchant("listEvents", .get, "/portal/v1/events") { call in
      var query = call.query
      let limit = query.integer("limit", 1...Int64(APILimits.pageSizeMax), default: Int64(APILimits.feedSizeDefault))
      let given = query.eventCursor("after")
      try query.finish()
      let after = if let given { given } else { try await call.service.latestEvent(of: call.principal.merchantID) }
      if try EventStream.isWanted(call) { return try EventStream.answer(call, after: after) }
      let page = try await call.service.events(after: after, limit: Int(limit), of: call.principal.merchantID)
      return .json(200, EventFeedWire.page(page))
    },
  ]
}

extension MerchantCall {
  /// What the caller's `Idempotency-Key` asks for, in an operation without a body.
  fileprivate func onceWithoutBody<Output>(
    render: @escaping @Sendable (Output) -> RenderedAnswer
  ) throws -> IdempotentRequest<Output>? {
    try once(.none, render: render)
  }
}

extension APILimits {
  /// Largest page of deliveries, each of which carries its payload and its tries.
  static let deliveryPageSizeMax = 100
  /// Events of one pull when the caller names no number.
  static let feedSizeDefault = 100
  /// Entries of a webhook's `events`: more than there are types.
  static let webhookTypesMax = 50
}

extension QueryReader {
  /// The `next_cursor` of an earlier answer, or the start when left out. `nil` for `latest`.
  fileprivate mutating func eventCursor(_ name: String) -> EventCursor? {
    guard let text = single(name) else { return .start }
    if sameBytes(text, "latest") { return nil }
    guard let cursor = EventCursor(text: text) else {
      refuse(name, "must be the next_cursor of an earlier answer, or latest")
      return .start
    }
    return cursor
  }
}
