import KassaDomain
import KassaService

extension VippsProvider {
  package func check() async -> [ProviderFinding] {
    let budget = api.http.budget()
    switch await api.token.token() {
    case .unreachable(let words):
      return [ProviderFinding("Vipps MobilePay cannot be reached: \(words).", isSound: false)]
    case .refused(let status, let words): return [ProviderFinding(Self.refusal(status, words), isSound: false)]
    case .token: break
    }
    var findings = [
      ProviderFinding("Vipps MobilePay accepts client_id, client_secret and subscription_key.", isSound: true)
    ]
    findings.append(await checkSerialNumber(within: budget))
    if findings.allSatisfy(\.isSound) { findings.append(await checkNotifications(within: budget)) }
    return findings
  }

  /// The endpoint has two ways to refuse: the gateway knows the subscription key only, what is behind it the rest.
  private static func refusal(_ status: Int, _ words: String) -> String {
    let lower = words.lowercased()
    if lower.contains("subscription key") {
      return "Vipps MobilePay does not accept subscription_key: take the Ocp-Apim-Subscription-Key of this sales unit, "
        + "for this environment (test and production have their own)."
    }
    if status == 400 || status == 401 {
      return "Vipps MobilePay does not accept client_id and client_secret (\(status)): take both from the same sales "
        + "unit, for this environment, and look for a character lost in copying."
    }
    return "Vipps MobilePay gives no access token (\(status)): \(words)."
  }

  /// Asks for a payment that cannot exist: only the right sales unit is told so.
  private func checkSerialNumber(within budget: CallBudget) async -> ProviderFinding {
    var generator = SystemRandomNumberGenerator()
    let nobodys = PaymentID(using: &generator).description
    let number = api.settings.merchantSerialNumber
    switch await api.send(.get, VippsAPI.path(nobodys), within: budget) {
    case .answered(let answer) where answer.status == 404:
      return ProviderFinding("The sales unit \(number) may take payments with these keys.", isSound: true)
    case .answered(let answer) where [400, 401, 403].contains(answer.status):
      return ProviderFinding(
        "merchant_serial_number \(number) does not go with these keys (\(answer.status)): take the number of the sales "
          + "unit that the keys are of, and see that it may use the ePayment API.", isSound: false)
    case .answered(let answer):
      return ProviderFinding("Vipps MobilePay answers \(answer.status) when asked for a payment.", isSound: false)
    case .neverLeft(let words), .noAnswer(let words):
      return ProviderFinding("Vipps MobilePay cannot be reached: \(words).", isSound: false)
    }
  }

  private func checkNotifications(within budget: CallBudget) async -> ProviderFinding {
    guard let id = api.settings.webhookID, api.settings.webhookSecret != nil else {
      return ProviderFinding(
        "Notifications are not set up: payments work, and Kassa asks every two seconds instead.", isSound: true)
    }
    guard let known = await registrations(within: budget) else {
      return ProviderFinding("The registered notifications cannot be read now.", isSound: false)
    }
    return known.contains { sameBytes($0.id, id) }
      ? ProviderFinding("Vipps MobilePay notifies Kassa at \(api.settings.webhookURL ?? "").", isSound: true)
      : ProviderFinding(
        "Vipps MobilePay has removed the registration of notifications, as it does after two weeks without an answer: "
          + "set them up again.", isSound: false)
  }
}
