import KassaDomain

/// Says where callbacks may be sent (contract, section 8). What is allowed when a webhook is made is asked again at every
/// connection, because names can come to mean another address.
package protocol WebhookGate: Sendable {
  /// Why callbacks are not sent to `url`, in words for the caller; `nil` when they are. May ask the name service.
  func flaw(of url: WebhookURL) async -> String?
}

/// Sends callbacks nowhere.
package struct ClosedWebhookGate: WebhookGate {
  package init() {}

  package func flaw(of url: WebhookURL) async -> String? { "cannot be used: this server sends no callbacks" }
}
