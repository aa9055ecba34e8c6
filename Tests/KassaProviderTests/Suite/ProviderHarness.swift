import KassaDomain
import KassaEmulators
import KassaProviders
import KassaService
import Testing

/// One provider as the suite sees it: its emulator, its adapter, and the few things that differ from others.
struct ProviderHarness: Sendable, CustomTestStringConvertible {
  var name: String
  let provider: ProviderName
  let method: PaymentMethod
  let currency: String
  /// Settings beside those that the emulator tells.
  var settings: [String: String] = [:]
  var emulator: @Sendable () throws -> any ProviderEmulator
  let kind: @Sendable (ProviderHTTPClient, @escaping @Sendable () -> Timestamp) -> ProviderKind
  /// The emulator's operation that makes a payment.
  let startOperation: String
  /// The operation that reads how a payment stands.
  let lookOperation: String
  /// Every operation that an answer may be lost of, in a life of start, look, end, capture and refund.
  let operations: [String]
  /// Requests that look like this genuine notification, and prove nothing.
  let forgeries: @Sendable (NotificationRequest) -> [NotificationRequest]

  var testDescription: String { name }

  static let all: [ProviderHarness] = [.vipps, .klarna, .swish, .stripe]
  /// Those of whom late money may be taken already, and is refunded; at Klarna it is only reserved, and freed.
  static let refundingLateMoney: [ProviderHarness] = [.swish, .stripe, .vippsCapturing]
}

/// A notification as it is sent.
struct NotificationRequest: Sendable {
  var url: String
  var headers: [(name: String, value: String)]
  var body: [UInt8]
}

extension ProviderHarness {
  static let vipps = ProviderHarness(
    name: "Vipps", provider: .vipps, method: .vipps, currency: "NOK", emulator: { VippsEmulator() },
    kind: { VippsProvider.kind(http: $0, isPlayground: true, clock: $1) }, startOperation: "CREATE",
    lookOperation: "GET", operations: ["TOKEN", "CREATE", "GET", "EVENTS", "CANCEL", "CAPTURE", "REFUND"],
    forgeries: { genuine in
      var (unsigned, changed) = (genuine, genuine)
      unsigned.headers.removeAll { $0.name == "authorization" }
      changed.body.append(0x20)
      // Another signature, another date, and another hash than the body's.
      let others = [
        ("authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=AAAA"),
        ("x-ms-date", "Thu, 30 Mar 2023 08:38:32 GMT"), ("x-ms-content-sha256", "AAAA"),
      ].map { name, value in
        var other = genuine
        other.headers = genuine.headers.map { ($0.name, $0.name == name ? value : $0.value) }
        return other
      }
      return [unsigned, changed] + others
    })

  /// A sales unit for which Vipps captures by itself.
  static let vippsCapturing: ProviderHarness = {
    var harness = vipps
    harness.name = "Vipps that captures by itself"
    harness.emulator = { VippsEmulator(isCapturedAtOnce: true) }
    return harness
  }()

  static let klarna = ProviderHarness(
    name: "Klarna", provider: .klarna, method: .klarna, currency: "SEK", settings: ["country": "SE"],
    emulator: { KlarnaEmulator() }, kind: { KlarnaProvider.kind(http: $0, isPlayground: true, clock: $1) },
    startOperation: "CREATE", lookOperation: "RESULT",
    operations: ["CREATE", "RESULT", "CANCEL", "ORDER", "CAPTURE", "REFUND", "CANCEL_ORDER"],
    forgeries: { genuine in
      var (bare, empty, wrong) = (genuine, genuine, genuine)
      bare.url = String(genuine.url.prefix { $0 != "?" })
      empty.url = bare.url + "?token="
      wrong.url = bare.url + "?token=" + String(repeating: "0", count: 64)
      return [bare, empty, wrong]
    })
}
