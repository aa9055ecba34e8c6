import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Webhooks as JSON.
enum WebhookWire {
  /// Stands for all types, alone.
  private static let allTypes = "*"

  static func input(_ object: JSONObject) throws -> (details: WebhookDestination.Details, enabled: Bool?) {
    var fields = FieldReader(object)
    let name = fields.requiredText("name", characters: 1...APILimits.nameCharactersMax)
    let address = fields.requiredText("url", characters: 1...WebhookURL.bytesMax)
    var url: WebhookURL?
    if let address {
      do throws(WebhookURL.Flaw) {
        url = try WebhookURL(address)
      } catch {
        fields.refuse("url", error.message)
      }
    }
    let subscription = subscription(&fields, object["events"])
    let enabled = fields.boolean("enabled")
    try fields.finish()
    guard let name, let url, let subscription else {
      preconditionFailure("a required field was left out without a flaw")
    }
    return (WebhookDestination.Details(name: name, url: url, subscription: subscription), enabled)
  }

  private static func subscription(_ fields: inout FieldReader, _ value: JSONValue?) -> WebhookSubscription? {
    guard case .array(let elements)? = value, (1...APILimits.webhookTypesMax).contains(elements.count) else {
      fields.refuse("events", "must be a list of event types, or [\"*\"] for all")
      return nil
    }
    let known = WebhookSubscription.knownTypes
    var types: [String] = []
    for (index, element) in elements.enumerated() {
      guard case .string(let type) = element,
        sameBytes(type, allTypes) || known.contains(where: { sameBytes($0, type) })
      else {
        fields.refuse("events[\(index)]", "must be one of \(known.joined(separator: ", ")), or * alone")
        continue
      }
      if !types.contains(where: { sameBytes($0, type) }) { types.append(type) }
    }
    if types.contains(where: { sameBytes($0, allTypes) }) {
      if types.count > 1 { fields.refuse("events", "must hold * alone") }
      return .all
    }
    return .only(types.sorted(by: bytesPrecede))
  }

  @Sendable static func created(_ made: WebhookWithSecret) -> RenderedAnswer { withSecret(made, status: 201) }
  @Sendable static func rotated(_ made: WebhookWithSecret) -> RenderedAnswer { withSecret(made, status: 200) }

  @Sendable static func tested(_ envelope: CallbackEnvelope) -> RenderedAnswer {
    RenderedAnswer(status: 202, body: envelope.jsonBytes)
  }

  private static func withSecret(_ made: WebhookWithSecret, status: Int) -> RenderedAnswer {
    let body = jsonObject { object in
      // What overlaps was rotated out in this very moment, so any moment before its end shows it.
      write(made.destination, at: made.destination.createdAt, &object)
      object.member("secret", made.secret.text)
    }
    return RenderedAnswer(status: status, body: body)
  }

  static func write(_ destination: WebhookDestination, at now: Timestamp, _ object: inout JSONWriter) {
    object.member("id", destination.id)
    object.member("merchant_id", destination.merchantID)
    object.member("name", destination.details.name)
    object.member("url", destination.details.url.text)
    object.member(
      "events",
      array: { array in
        switch destination.details.subscription {
        case .all: array.element(allTypes)
        case .only(let types): for type in types { array.element(type) }
        }
      })
    object.member("enabled", destination.disabled == nil)
    object.member("disabled_at", destination.disabled?.at)
    object.member("disabled_reason", destination.disabled?.reason.rawValue)
    object.member("created_at", destination.createdAt)
    if let previous = destination.previous, now < previous.validUntil {
      object.member("previous_secret_valid_until", previous.validUntil)
    }
  }

  static func position(_ destination: WebhookDestination) -> PagePosition {
    PagePosition(createdAt: destination.createdAt, id: destination.id.of(EventSubject.self))
  }
}

/// Deliveries as JSON.
enum DeliveryWire {
  @Sendable static func resent(_ readable: ReadableDelivery) -> RenderedAnswer {
    RenderedAnswer(status: 200, body: jsonObject(capacityBytes: 2048) { write(readable, &$0) })
  }

  static func write(_ readable: ReadableDelivery, _ object: inout JSONWriter) {
    let delivery = readable.logged.delivery
    object.member("id", delivery.id)
    object.member("webhook_id", delivery.destinationID)
    object.member("event_id", readable.envelope.id.text)
    object.member("type", readable.envelope.type)
    object.member("status", delivery.state.name.rawValue)
    object.member("created_at", delivery.createdAt)
    switch delivery.state {
    case .pending(_, let nextTryAt): object.member("next_try_at", nextTryAt)
    case .delivered(let at), .dead(let at): object.member("finished_at", at)
    }
    object.member(
      "tries",
      array: { array in
        for attempt in readable.logged.attempts { array.elementObject { write(attempt, &$0) } }
      })
    object.rawMember("payload", json: readable.envelope.jsonBytes)
  }

  private static func write(_ attempt: CallbackAttempt, _ object: inout JSONWriter) {
    object.member("at", attempt.at)
    object.member("duration_milliseconds", attempt.durationMilliseconds)
    switch attempt.result {
    case .status(let status): object.member("response_status", status)
    case .error(let error): object.member("error", error.rawValue)
    }
    object.member("response_excerpt", attempt.responseExcerpt)
  }

  static func position(_ readable: ReadableDelivery) -> PagePosition {
    PagePosition(
      createdAt: readable.logged.delivery.createdAt, id: readable.logged.delivery.id.of(EventSubject.self))
  }
}

/// The pull feed as JSON.
enum EventFeedWire {
  static func page(_ page: EventFeedPage) -> [UInt8] {
    var writer = JSONWriter(capacityBytes: 256 + 512 * page.envelopes.count)
    writer.object { object in
      object.member(
        "content",
        array: { array in
          for envelope in page.envelopes { array.rawElement(json: envelope.jsonBytes) }
        })
      object.member("next_cursor", page.next.text)
      object.member("has_more", page.hasMore)
    }
    return writer.bytes
  }
}
