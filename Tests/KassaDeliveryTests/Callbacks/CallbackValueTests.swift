import Foundation
import KassaDomain
import KassaService
import Testing

@testable import KassaDelivery

/// The pure parts of callbacks.
@Suite struct CallbackValueTests {
  private let start = Timestamp(millisecondsSinceEpoch: 1_705_312_800_123)

  private func delivery(_ state: CallbackDelivery.State) -> CallbackDelivery {
    var generator = SystemRandomNumberGenerator()
    return CallbackDelivery(
      restoring: DeliveryID(using: &generator), merchantID: MerchantID(using: &generator),
      destinationID: WebhookID(using: &generator), subjectID: SubjectID(using: &generator), sequence: 1,
      createdAt: start, state: state)
  }

  // MARK: Schedule

  @Test func theScheduleIsTheContracts() {
    let minutes: [Int64] = [0, 0, 5, 30, 120, 300, 600, 840, 1200, 1440]
    var seconds = minutes.map { $0 * 60 }
    seconds[1] = 5
    #expect(Limits.deliverySchedule.delaysMilliseconds == seconds.map { $0 * 1000 })
    let days = Double(seconds.reduce(0, +)) / 86_400
    #expect((3...3.5).contains(days))
  }

  @Test func aDeliveryIsGivenUpAfterTenTries() {
    var delivery = delivery(.pending(failedTries: 0, nextTryAt: start))
    var now = start
    for (index, delay) in Limits.deliverySchedule.delaysMilliseconds.dropFirst().enumerated() {
      delivery.apply(.fail(schedule: Limits.deliverySchedule, retryAfterSeconds: nil, jitter: 0), at: now)
      #expect(delivery.state == .pending(failedTries: index + 1, nextTryAt: now.adding(milliseconds: delay)))
      now = now.adding(milliseconds: delay)
    }
    delivery.apply(.fail(schedule: Limits.deliverySchedule, retryAfterSeconds: 5, jitter: 1), at: now)
    #expect(delivery.state == .dead(at: now))
  }

  @Test(
    arguments: [
      (0.0, nil, 300_000), (1.0, nil, 330_000), (0.5, nil, 315_000), (7, nil, 330_000), (-1, nil, 300_000),
      (0, 10, 300_000), (0, 600, 600_000), (1, 600, 660_000), (0, 1_000_000, 86_400_000), (0, -5, 300_000),
      (0, Int64.max, 86_400_000),
    ] as [(Double, Int64?, Int64)]) func jitterAndRetryAfterOnlyLengthen(
      _ jitter: Double, _ asked: Int64?, _ delay: Int64
    )
  {
    let next = Limits.deliverySchedule.nextTry(
      afterFailedTries: 2, at: start, retryAfterSeconds: asked, jitter: jitter)
    #expect(next == start.adding(milliseconds: delay))
  }

  @Test func everyStateTakesEveryCommand() {
    let later = start.adding(seconds: 60)
    let schedule = Limits.deliverySchedule
    let fail = CallbackDelivery.Command.fail(schedule: schedule, retryAfterSeconds: nil, jitter: 0)
    let table: [(CallbackDelivery.State, CallbackDelivery.Command, CallbackDelivery.State)] = [
      (.pending(failedTries: 2, nextTryAt: start), .acknowledge, .delivered(at: later)),
      (
        .pending(failedTries: 2, nextTryAt: start), fail,
        .pending(failedTries: 3, nextTryAt: later.adding(seconds: 1800))
      ),
      (.pending(failedTries: 9, nextTryAt: start), fail, .dead(at: later)),
      (.pending(failedTries: 2, nextTryAt: start), .resend, .pending(failedTries: 2, nextTryAt: later)),
      (.delivered(at: start), .acknowledge, .delivered(at: start)),
      (.delivered(at: start), fail, .delivered(at: start)),
      (.delivered(at: start), .resend, .pending(failedTries: 0, nextTryAt: later)),
      (.dead(at: start), .acknowledge, .dead(at: start)), (.dead(at: start), fail, .dead(at: start)),
      (.dead(at: start), .resend, .pending(failedTries: 0, nextTryAt: later)),
    ]
    for (before, command, after) in table {
      var delivery = delivery(before)
      delivery.apply(command, at: later)
      #expect(delivery.state == after, "\(before) \(command)")
    }
  }

  @Test(arguments: [(200, true), (204, true), (299, true), (199, false), (300, false), (302, false), (410, false)])
  func onlyTwoHundredsAcknowledge(_ status: Int, _ isAcknowledged: Bool) {
    let attempt = CallbackAttempt(at: start, durationMilliseconds: 1, result: .status(status))
    #expect(attempt.isAcknowledged == isAcknowledged)
    #expect(attempt.saysGone == (status == 410))
  }

  @Test(
    arguments: [
      ("120", 120), (" 7 ", 7), ("0", 0), ("Mon, 15 Jan 2024 10:01:00 GMT", 60), ("Mon, 15 Jan 2024 09:00:00 GMT", 0),
      ("Thu, 29 Feb 2024 10:00:00 GMT", 3_888_000), ("-5", nil), ("soon", nil), ("1.5", nil), ("", nil),
      ("Mon, 15 Foo 2024 10:01:00 GMT", nil), ("99999999999999999999", Int64.max),
    ] as [(String, Int64?)]) func retryAfterIsRead(_ value: String, _ seconds: Int64?)
  {
    #expect(RetryAfter.seconds(value, at: Timestamp(millisecondsSinceEpoch: 1_705_312_800_000)) == seconds)
  }

  // MARK: Envelope

  @Test func anEventIDHoldsAll128Bits() {
    #expect(CallbackEventID(high: 0, low: 0).text == "kevt_0000000000000000000000")
    #expect(CallbackEventID(high: 0, low: 61).text == "kevt_000000000000000000000z")
    #expect(CallbackEventID(high: 0, low: 62).text == "kevt_0000000000000000000010")
    // 2^128 - 1 in base 62.
    #expect(CallbackEventID(high: .max, low: .max).text == "kevt_7n42DGM5Tflk9n8mt7Fhc7")
  }

  private func event(
    _ type: EventType, related: SubjectID? = nil, order: OrderID? = nil, reason: String? = nil
  ) throws -> Event {
    Event(
      merchantID: try #require(MerchantID(text: "e4eaaaf2-d142-41b3-9d8e-2f6b0c7a1d53")),
      subjectID: try #require(SubjectID(text: "550e8400-e29b-41d4-a716-446655440000")), sequence: 3, type: type,
      at: start, actor: .system, requestID: "secret", relatedID: related, orderID: order, failureReason: reason)
  }

  @Test func envelopesAreTheContracts() throws {
    func json(_ event: Event) throws -> String {
      let envelope = try #require(CallbackEnvelope(event, id: CallbackEventID(high: 0, low: 1)))
      return String(decoding: envelope.jsonBytes, as: UTF8.self)
    }
    let head =
      #"{"id":"kevt_0000000000000000000001","merchant_id":"e4eaaaf2-d142-41b3-9d8e-2f6b0c7a1d53","#
      + #""timestamp":"2024-01-15T10:00:00.123000000Z","type":""#
    let subject = "550e8400-e29b-41d4-a716-446655440000"
    #expect(
      try json(event(.sessionCreated)) == head
        + #"ipp.session.created","data":{"session_id":"\#(subject)","order_id":null,"failure_reason":null,"sequence":3}}"#
    )
    #expect(
      try json(event(.sessionFinalized, order: OrderID(text: "2b6f0cc9-04b7-4d3c-9e5a-6d1f8e7b3a10"))) == head
        + #"ipp.session.finalized","data":{"session_id":"\#(subject)","#
        + #""order_id":"2b6f0cc9-04b7-4d3c-9e5a-6d1f8e7b3a10","failure_reason":null,"sequence":3}}"#)
    #expect(try json(event(.paymentFailed, reason: "a\"\\\u{1}")).contains(#""failure_reason":"a\"\\\u0001""#))
    #expect(
      try json(event(.devicePaired, related: SubjectID(text: "660e8400-e29b-41d4-a716-446655440001"))) == head
        + #"ipp.device.paired","data":{"device_id":"\#(subject)","#
        + #""enrollment_id":"660e8400-e29b-41d4-a716-446655440001","sequence":3}}"#)
    #expect(
      try json(event(.deviceDeleted)) == head + #"ipp.device.deleted","data":{"device_id":"\#(subject)","sequence":3}}"#
    )
    for type in EventType.allCases {
      let envelope = CallbackEnvelope(try event(type), id: CallbackEventID(high: 0, low: 1))
      #expect((envelope == nil) == (type.callbackType == nil))
      if let envelope { _ = try JSONSerialization.jsonObject(with: Data(envelope.jsonBytes)) }
    }
  }

  // MARK: Signature

  /// The example that the Standard Webhooks libraries publish and test themselves with.
  @Test func theSignatureIsStandardWebhooks() throws {
    let key = try #require(Data(base64Encoded: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    let secret = WebhookSecret(bytes: Array(key))
    #expect(secret.text == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    let signature = secret.signature(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestampSeconds: 1_614_265_330,
      body: Array(#"{"test": 2432232314}"#.utf8))
    #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  }

  // MARK: Destination

  @Test func aRotationOverlapsForTenMinutes() throws {
    var generator = SystemRandomNumberGenerator()
    var destination = WebhookDestination(
      id: WebhookID(using: &generator), merchantID: MerchantID(using: &generator),
      details: .init(name: "Shop", url: try WebhookURL("https://shop.example/"), subscription: .all),
      sealedSecret: [1], createdAt: start)
    #expect(destination.signingSecrets(at: start) == [[1]])
    _ = destination.rotate(to: [2], overlapSeconds: Limits.secretOverlapSeconds, at: start)
    #expect(destination.signingSecrets(at: start.adding(milliseconds: 599_999)) == [[2], [1]])
    #expect(destination.signingSecrets(at: start.adding(seconds: 600)) == [[2]])
    _ = destination.rotate(to: [3], overlapSeconds: Limits.secretOverlapSeconds, at: start.adding(seconds: 1))
    #expect(destination.signingSecrets(at: start.adding(seconds: 2)) == [[3], [2]])
    #expect(destination.version == 3)
  }

  @Test(arguments: [
    ("https://shop.example/hook?a=b", "https://shop.example/hook?a=b"),
    ("HTTPS://Shop.Example", "https://shop.example/"),
    ("https://shop.example:8443/x", "https://shop.example:8443/x"),
    ("https://shop.example?x", "https://shop.example/?x"),
    ("http://127.0.0.1:1/", "http://127.0.0.1:1/"), ("http://[::1]:8080/", "http://[::1]:8080/"),
    ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ("https://a_b.example/", "https://a_b.example/"),
    ("https://shop.example:65535/%20", "https://shop.example:65535/%20"),
    ("https://1a.example/", "https://1a.example/"),
  ]) func urlsAreRead(_ text: String, _ normal: String) throws {
    let url = try WebhookURL(text)
    #expect(url.text == normal)
    let foundation = try #require(URL(string: url.text)?.host())
    #expect(foundation.trimmingCharacters(in: ["[", "]"]) == url.host)
  }

  @Test(arguments: [
    "", "shop.example", "ftp://shop.example/", "https://", "https:///x", "https://user@shop.example/",
    "https://user:pass@shop.example/", "https://shop.example@evil.example/", "https://shop.example:0/",
    "https://shop.example:65536/", "https://shop.example:/", "https://shop.example:99999999999/",
    "https://shop.example:8a/", "https://shop.example/ x", "https://shop.example/\\", "https://shop.example\\@x/",
    "https://shop.example/#x", "https://bücher.example/", "https://shop..example/", "https://.example/",
    "https://shop.example./", "https://-a.example/", "https://127.1/", "https://0x7f.0.0.1/", "https://2130706433/",
    "https://0177.0.0.1/", "https://1.2.3.256/", "https://1.2.3.4.5/", "https://[::1/", "https://[::1]x/",
    "https://[fe80::1%25eth0]/", "https://[]/", "https://%31.example/", "https://shop.example/\u{7f}",
  ]) func otherURLsAreRefused(_ text: String) {
    #expect(throws: WebhookURL.Flaw.self) { _ = try WebhookURL(text) }
  }

  @Test func aURLHasALimit() throws {
    let base = "https://shop.example/"
    _ = try WebhookURL(base + String(repeating: "a", count: WebhookURL.bytesMax - base.utf8.count))
    #expect(throws: WebhookURL.Flaw.self) {
      _ = try WebhookURL(base + String(repeating: "a", count: WebhookURL.bytesMax - base.utf8.count + 1))
    }
  }
}
