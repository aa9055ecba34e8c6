import KassaDomain
import KassaService

extension StripeTerminalProvider {
  package func check() async -> [ProviderFinding] {
    let budget = http.budget()
    var findings: [ProviderFinding] = []
    switch await api.get("terminal/readers", [("limit", "1")], within: budget) {
    case .object:
      findings.append(
        ProviderFinding(
          settings.isTest
            ? "Stripe accepts the key. It is one of the test mode: no money moves."
            : "Stripe accepts the key. It is a live one: money moves.", isSound: true))
    case .refused(let error):
      let words =
        switch error.status {
        case 401: "Stripe does not know the key: copy secret_key again, whole."
        case 403: "Stripe knows the key, but it may not use Terminal: allow it PaymentIntents, Refunds and Terminal."
        default: "\(error.words) when asked for readers: is Terminal switched on for the account?"
        }
      return [ProviderFinding(words, isSound: false)]
    case .neverLeft(let words), .unknown(let words), .keptFailure(let words):
      return [ProviderFinding("\(words): nothing else could be checked.", isSound: false)]
    }
    if let location = settings.locationID {
      findings.append(await finding(location: location, within: budget))
    }
    if let reader = settings.readerID {
      findings.append(await finding(reader: reader, within: budget))
    } else {
      findings.append(
        ProviderFinding(
          "No reader_id: devices collect with the reader that \(Self.readerMetadataKey) in their metadata names, or else "
            + "with their own.", isSound: true))
    }
    findings.append(
      settings.webhookSecret == nil
        ? ProviderFinding(
          "No webhook_secret: what happens at a phone's own reader is only seen when the phone tells. Subscribe.",
          isSound: false)
        : ProviderFinding("Webhooks are believed that are signed with the webhook_secret entered here.", isSound: true))
    return findings
  }

  private func finding(location: String, within budget: CallBudget) async -> ProviderFinding {
    switch await api.get("terminal/locations/\(location)", within: budget) {
    case .object(let object, _):
      guard object.text("object") == "terminal.location", object.bool("deleted") != true else {
        return ProviderFinding("Stripe says that the location \(location) was deleted.", isSound: false)
      }
      let name = object.text("display_name").map { " (\($0))" } ?? ""
      return ProviderFinding("The location \(location)\(name) exists.", isSound: true)
    case .refused(let error) where error.status == 404:
      return ProviderFinding("Stripe does not know the location \(location) with this key.", isSound: false)
    case .refused(let error): return ProviderFinding("\(error.words) when asked for the location.", isSound: false)
    case .neverLeft(let words), .unknown(let words), .keptFailure(let words):
      return ProviderFinding("\(words): the location could not be checked.", isSound: false)
    }
  }

  private func finding(reader: String, within budget: CallBudget) async -> ProviderFinding {
    switch await api.get("terminal/readers/\(reader)", within: budget) {
    case .object(let object, _):
      guard let found = StripeReader(object) else {
        return ProviderFinding("Stripe says that the reader \(reader) was deleted.", isSound: false)
      }
      let label = found.label.map { " (\($0))" } ?? ""
      if let wanted = settings.locationID, let location = found.locationID, !sameBytes(wanted, location) {
        return ProviderFinding(
          "The reader \(reader)\(label) stands at \(location), not at the location_id \(wanted).", isSound: false)
      }
      return ProviderFinding(
        "The reader \(reader)\(label) exists\(found.isSimulated ? "; it is a simulated one" : "").", isSound: true)
    case .refused(let error) where error.status == 404:
      return ProviderFinding("Stripe does not know the reader \(reader) with this key.", isSound: false)
    case .refused(let error): return ProviderFinding("\(error.words) when asked for the reader.", isSound: false)
    case .neverLeft(let words), .unknown(let words), .keptFailure(let words):
      return ProviderFinding("\(words): the reader could not be checked.", isSound: false)
    }
  }
}
