import KassaDomain
import KassaJSON
import KassaService

extension StripeTerminalProvider: NotifyingProvider {
  /// What may mean that an attempt is decided.
  private static let events = [
    "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.amount_capturable_updated",
    "payment_intent.canceled", "terminal.reader.action_succeeded", "terminal.reader.action_failed", "refund.updated",
    refundFailed,
  ]

  /// The card's bank sent back what was refunded, days after Stripe said that it was done.
  private static let refundFailed = "refund.failed"

  /// Signed events come to one address for all attempts; which one it is about is in the metadata of its PaymentIntent.
  package func verdict(
    on notification: ProviderNotification, about charge: Charge?
  ) async -> NotificationVerdict {
    guard let secret = settings.webhookSecret, let header = notification.header("stripe-signature"),
      let signature = StripeSignature(header: header),
      signature.isValid(for: notification.body, secret: secret, at: notification.receivedAt)
    else { return .forged }
    guard let event = jsonObject(of: notification.body), let type = event.text("type"),
      Self.events.contains(where: { sameBytes($0, type) }),
      let object = event.object("data")?.object("object")
    else { return .irrelevant }
    if let payment = Self.payment(of: object) { return .concerns(payment) }
    guard let intent = StripeReader(object)?.intentID ?? StripeRefund(object)?.intentID, StripeIdentifier.isOne(intent),
      case .object(let read, _) = await api.get("payment_intents/\(intent)", within: http.budget()),
      let payment = Self.payment(of: read)
    else { return .irrelevant }
    return sameBytes(type, Self.refundFailed) ? .concernsRefunds(of: payment) : .concerns(payment)
  }

  private static func payment(of intent: JSONObject) -> PaymentID? {
    guard intent.text("object") == "payment_intent" else { return nil }
    return intent.object("metadata")?.text(StripeMetadata.payment).flatMap { PaymentID(text: $0) }
  }

  package func subscribe(to url: String) async -> Result<[String: String], ProviderSetupFailure> {
    let fields =
      [("url", url), ("description", "Kassa"), ("api_version", StripeAPI.version)]
      + Self.events.map { ("enabled_events[]", $0) }
    switch await api.post("webhook_endpoints", fields, key: nil, within: http.budget()) {
    case .object(let object, _):
      guard let secret = object.text("secret"), secret.hasPrefix("whsec_") else {
        return .failure(ProviderSetupFailure("Stripe made the webhook endpoint, but gave no signing secret for it."))
      }
      return .success(["webhook_secret": secret])
    case .refused(let error):
      return .failure(
        ProviderSetupFailure("\(error.words). The address must be https and reachable; the key must be allowed to."))
    case .neverLeft(let words), .unknown(let words), .keptFailure(let words):
      return .failure(ProviderSetupFailure("\(words)."))
    }
  }
}

extension StripeTerminalProvider: PhoneReaderProvider {
  package func connectionToken(for device: Device) async -> String? {
    let fields = settings.locationID.map { [("location", $0)] } ?? []
    guard
      case .object(let object, _) = await api.post(
        "terminal/connection_tokens", fields, key: nil, within: http.budget())
    else { return nil }
    return object.text("secret")
  }
}
