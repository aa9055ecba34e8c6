import KassaDomain
import KassaJSON

/// Calls to Stripe, and what is known after each.
struct StripeAPI: Sendable {
  /// The version of Stripe's interface that all of this is written for.
  static let version = "2025-03-31.basil"

  enum Result: Sendable {
    /// Done. `isReplay`: as it was answered the first time, which may be long ago.
    case object(JSONObject, isReplay: Bool)
    /// Not done.
    case refused(StripeError)
    /// Nothing left this machine: not done.
    case neverLeft(String)
    /// May have been done.
    case unknown(String)
    /// May have been done. The first call under this key broke, and Stripe repeats that to whoever uses the key again: by
    /// it nobody was told, or will be, what was done.
    case keptFailure(String)
  }

  let settings: StripeSettings
  let http: ProviderHTTPClient

  func get(
    _ path: String, _ query: [(name: String, value: String)] = [], within budget: CallBudget
  ) async -> Result {
    let text = query.map { "\($0.name)=\(FormEncoding.escape($0.value))" }.joined(separator: "&")
    return await send(
      ProviderCall(.get, "/v1/\(path)\(text.isEmpty ? "" : "?\(text)")", headers: headers), within: budget)
  }

  /// `key` makes repetitions harmless: under one key Stripe does a thing once and repeats its answer for at least a day.
  func post(
    _ path: String, _ fields: [(name: String, value: String)], key: String?, within budget: CallBudget
  ) async -> Result {
    await send(
      ProviderCall(
        .post, "/v1/\(path)", headers: headers + (key.map { [("idempotency-key", $0)] } ?? []),
        body: fields.isEmpty ? .empty : .form(fields), isRepeatable: key != nil,
        // 409: under this key something is under way.
        passingStatuses: ProviderCall.usualPassingStatuses.union([409])), within: budget)
  }

  private var headers: [(name: String, value: String)] {
    [("authorization", "Bearer \(settings.secretKey)"), ("stripe-version", Self.version)]
  }

  private func send(_ call: ProviderCall, within budget: CallBudget) async -> Result {
    switch await http.send(call, to: settings.address, within: budget) {
    case .neverLeft(let words): return .neverLeft("Stripe: \(words)")
    case .noAnswer(let words): return .unknown("Stripe: \(words)")
    case .answered(let answer):
      let isReplay = answer.header("idempotent-replayed") == "true"
      guard !call.passingStatuses.contains(answer.status), answer.status < 500 else {
        guard isReplay, answer.status >= 500 else { return .unknown("Stripe answered \(answer.status)") }
        return .keptFailure("Stripe answered \(answer.status), and keeps to that")
      }
      guard answer.isSuccess else { return .refused(StripeError(status: answer.status, answer.body)) }
      guard let object = jsonObject(of: answer.body) else { return .unknown("Stripe answered what is no object") }
      return .object(object, isReplay: isReplay)
    }
  }
}
