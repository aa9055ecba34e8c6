import Foundation
import KassaDomain
import KassaJSON

/// The access token of one sales unit: fetched when it is needed, by one call at a time however many wait for it, and
/// fetched anew before it ends.
actor VippsAccessToken {
  /// A token that ends sooner than this is not used any more.
  private static let remainingSecondsMin: Int64 = 60
  /// The life of a token that does not tell its own: that of the test environment, which is the shorter one.
  private static let lifeSecondsDefault: Int64 = 3600
  /// The time that fetching may take of the budget of those who wait.
  private static let fetchMilliseconds: Int64 = 6000

  enum Outcome: Sendable {
    case token(String)
    /// Vipps said no; with its status and words.
    case refused(status: Int, words: String)
    /// Nobody said anything.
    case unreachable(String)
  }

  private let settings: VippsSettings
  private let address: ProviderAddress
  private let http: ProviderHTTPClient
  private let clock: @Sendable () -> Timestamp
  private var current: (token: String, endsAt: Timestamp)?
  private var underWay: Task<Outcome, Never>?

  init(
    settings: VippsSettings, address: ProviderAddress, http: ProviderHTTPClient,
    clock: @escaping @Sendable () -> Timestamp
  ) {
    self.settings = settings
    self.address = address
    self.http = http
    self.clock = clock
  }

  func token() async -> Outcome {
    if let current, clock().adding(seconds: Self.remainingSecondsMin) < current.endsAt { return .token(current.token) }
    if let underWay { return await underWay.value }
    let task = Task { await fetch() }
    underWay = task
    let outcome = await task.value
    underWay = nil
    return outcome
  }

  /// Vipps did not accept this token: the next one is fetched.
  func forget(_ token: String) {
    if current?.token == token { current = nil }
  }

  private func fetch() async -> Outcome {
    let call = ProviderCall(
      .post, "/accesstoken/get",
      headers: [
        ("client_id", settings.clientID), ("client_secret", settings.clientSecret),
        ("Ocp-Apim-Subscription-Key", settings.subscriptionKey),
        ("Merchant-Serial-Number", settings.merchantSerialNumber),
      ] + VippsAPI.systemHeaders)
    switch await http.send(call, to: address, within: CallBudget(milliseconds: Self.fetchMilliseconds)) {
    case .answered(let answer):
      guard answer.isSuccess, let object = jsonObject(of: answer.body),
        let token = object.text("access_token"), !token.isEmpty
      else { return .refused(status: answer.status, words: Self.words(of: answer)) }
      // Seconds, written as a string; read as a number too.
      let life = object.text("expires_in").flatMap { Int64($0) } ?? object.integer("expires_in")
      current = (token, clock().adding(seconds: life ?? Self.lifeSecondsDefault))
      return .token(token)
    case .neverLeft(let words), .noAnswer(let words): return .unreachable(words)
    }
  }

  /// What the answer says of itself, in the two shapes that this endpoint has.
  private static func words(of answer: ProviderHTTPAnswer) -> String {
    guard let object = jsonObject(of: answer.body) else { return "no words" }
    return object.text("error_description") ?? object.text("message") ?? object.text("error") ?? "no words"
  }
}
