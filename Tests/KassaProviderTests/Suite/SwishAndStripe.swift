import KassaDomain
import KassaEmulators
import KassaProviders

extension ProviderHarness {
  static let swish = ProviderHarness(
    name: "Swish", provider: .swish, method: .swish, currency: "SEK", emulator: { try SwishEmulator(refundSeconds: 0) },
    kind: { SwishProvider.kind(http: $0, isPlayground: true, clock: $1) }, startOperation: "create",
    lookOperation: "read", operations: ["create", "read", "cancel", "refund", "readRefund"],
    forgeries: { genuine in
      // Bodies are not signed: what counts is the identifier, and nothing in the body is believed.
      var (bare, empty, wrong) = (genuine, genuine, genuine)
      bare.headers.removeAll { $0.name == "callbackIdentifier" }
      empty.headers = genuine.headers.map { ($0.name, $0.name == "callbackIdentifier" ? "" : $0.value) }
      wrong.headers = genuine.headers.map {
        ($0.name, $0.name == "callbackIdentifier" ? String(repeating: "0", count: $0.value.utf8.count) : $0.value)
      }
      return [bare, empty, wrong]
    })

  /// With the phone's own reader: one that is commanded takes one attempt at a time, and many are raced here.
  static let stripe = ProviderHarness(
    name: "Stripe Terminal", provider: .stripeTerminal, method: .card, currency: "SEK", settings: ["reader_id": ""],
    emulator: { StripeEmulator() },
    kind: { StripeTerminalProvider.kind(http: $0, isPlayground: true, clock: $1) }, startOperation: "createIntent",
    lookOperation: "readIntent",
    operations: ["createIntent", "readIntent", "cancelIntent", "captureIntent", "listRefunds", "createRefund"],
    forgeries: { genuine in
      var (unsigned, changed, otherwise, old) = (genuine, genuine, genuine, genuine)
      unsigned.headers.removeAll { $0.name == "stripe-signature" }
      changed.body.append(0x20)
      otherwise.headers = genuine.headers.map { name, value in
        (name, name == "stripe-signature" ? String(value.dropLast(6)) + "abcdef" : value)
      }
      old.headers = genuine.headers.map { name, value in
        (name, name == "stripe-signature" ? value.replacing("t=", with: "t=1") : value)
      }
      return [unsigned, changed, otherwise, old]
    })
}
