import KassaAPI
import KassaDelivery
import KassaDomain
import KassaService
import KassaStore
import Synchronization

/// The figures of this server, for Prometheus' text format (version 0.0.4).
package final class Metrics: Sendable {
  private struct RequestKey: Hashable {
    let operation: String
    let status: Int
  }

  private struct Histogram {
    let bounds: [Double]
    var buckets: [Int64]
    var count: Int64 = 0
    var sumSeconds = 0.0

    func lines(_ name: String, label: String?) -> String {
      let (leading, alone) = (label.map { $0 + "," } ?? "", label.map { "{\($0)}" } ?? "")
      var text = ""
      for (bound, count) in zip(bounds, buckets) {
        text += "\(name)_bucket{\(leading)le=\"\(bound)\"} \(count)\n"
      }
      text += "\(name)_bucket{\(leading)le=\"+Inf\"} \(count)\n"
      return text + "\(name)_sum\(alone) \(sumSeconds)\n\(name)_count\(alone) \(count)\n"
    }

    init(bounds: [Double] = Metrics.bucketSeconds) {
      self.bounds = bounds
      buckets = [Int64](repeating: 0, count: bounds.count)
    }

    mutating func observe(_ seconds: Double) {
      count += 1
      sumSeconds += seconds
      for (index, bound) in bounds.enumerated() where seconds <= bound { buckets[index] += 1 }
    }
  }

  private struct State {
    var requests: [RequestKey: Int64] = [:]
    var durations: [String: Histogram] = [:]
    var problems: [String: Int64] = [:]
    var callbackAttempts: [String: Int64] = [:]
    var callbackLag = Histogram(bounds: Metrics.lagSeconds)
    var callbacksDead: Int64 = 0
    var dispatch = Histogram()
    var payments: [PaymentKey: Int64] = [:]
    var movements: [PaymentKey: Int64] = [:]
    var notices: [NoticeKey: Int64] = [:]
  }

  private struct PaymentKey: Hashable {
    let method: String
    let outcome: String
  }

  private struct NoticeKey: Hashable {
    let method: String
    let what: String
  }

  private static let bucketSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  /// From quick destinations to the whole schedule of tries.
  private static let lagSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 600, 3600, 43_200, 345_600]

  private let state = Mutex(State())

  package init() {}
  private let openConnections = Atomic<Int>(0)

  private let openStreams = Atomic<Int>(0)

  func streams(changedBy change: Int) { openStreams.add(change, ordering: .relaxed) }

  func connections(changedBy change: Int) { openConnections.add(change, ordering: .relaxed) }

  func sessionPushed(afterMilliseconds milliseconds: Int64) {
    state.withLock { $0.dispatch.observe(Double(milliseconds) / 1000) }
  }

  func count(_ notice: PaymentNotice) {
    let payment = notice.payment
    if case .outcome = notice.what {
      let key = PaymentKey(
        method: payment.method.rawValue, outcome: payment.failureReason?.rawValue ?? payment.state.rawValue)
      state.withLock { $0.payments[key, default: 0] += 1 }
    } else {
      let key = NoticeKey(method: payment.method.rawValue, what: notice.what.name)
      state.withLock { $0.notices[key, default: 0] += 1 }
    }
  }

  func count(_ movement: OrderMovement) {
    let key = PaymentKey(method: movement.kind.rawValue, outcome: movement.state.name.rawValue)
    state.withLock { $0.movements[key, default: 0] += 1 }
  }

  func count(_ record: RequestRecord) {
    state.withLock { state in
      state.requests[RequestKey(operation: record.operationID, status: record.status), default: 0] += 1
      state.durations[record.operationID, default: Histogram()]
        .observe(Double(record.durationNanoseconds) / 1_000_000_000)
      if let problem = record.problem { state.problems[problem, default: 0] += 1 }
    }
  }

  /// All figures as text. Those of the store are left out when it cannot tell.
  func rendered(
    store: StoreActivity, security: CodeSecurityReport?, pendingCallbacks: Int64?, unsettled: UnsettledReport?,
    credentials: EndingCredentials?
  ) -> String {
    let state = self.state.withLock { $0 }
    var text = ""
    func family(_ name: String, _ type: String, _ help: String) {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }
    family("kassa_http_requests_total", "counter", "Requests answered, by operation and status.")
    for (key, count) in state.requests.sorted(by: {
      ($0.key.operation, $0.key.status) < ($1.key.operation, $1.key.status)
    }) {
      text += "kassa_http_requests_total{operation=\"\(key.operation)\",status=\"\(key.status)\"} \(count)\n"
    }
    family("kassa_http_request_duration_seconds", "histogram", "Time from a request's head to its answer.")
    for (operation, histogram) in state.durations.sorted(by: { $0.key < $1.key }) {
      text += histogram.lines("kassa_http_request_duration_seconds", label: "operation=\"\(operation)\"")
    }
    family("kassa_session_dispatch_seconds", "histogram", "Time from a session's creation to its device's stream.")
    text += state.dispatch.lines("kassa_session_dispatch_seconds", label: nil)
    family("kassa_payments_total", "counter", "Attempts to pay that reached an outcome, by method and outcome.")
    for (key, count) in state.payments.sorted(by: { ($0.key.method, $0.key.outcome) < ($1.key.method, $1.key.outcome) })
    {
      text += "kassa_payments_total{method=\"\(key.method)\",outcome=\"\(key.outcome)\"} \(count)\n"
    }
    family("kassa_order_movements_total", "counter", "Captures, refunds and releases, by kind and outcome.")
    for (key, count) in state.movements.sorted(by: {
      ($0.key.method, $0.key.outcome) < ($1.key.method, $1.key.outcome)
    }) {
      text += "kassa_order_movements_total{kind=\"\(key.method)\",outcome=\"\(key.outcome)\"} \(count)\n"
    }
    family("kassa_payment_notices_total", "counter", "What needed a second look at an attempt, by method.")
    for (key, count) in state.notices.sorted(by: { ($0.key.method, $0.key.what) < ($1.key.method, $1.key.what) }) {
      text += "kassa_payment_notices_total{method=\"\(key.method)\",what=\"\(key.what)\"} \(count)\n"
    }
    if let unsettled {
      family("kassa_payments_unknown", "gauge", "Attempts of the whole deployment whose outcome nobody knows.")
      text += "kassa_payments_unknown \(unsettled.unknown.count)\n"
      family("kassa_payments_reversing", "gauge", "Attempts whose money came too late and is not given back yet.")
      text += "kassa_payments_reversing \(unsettled.reversing.count)\n"
    }
    family(
      "kassa_payment_credentials_end_timestamp_seconds", "gauge",
      "When the first of the credentials ends that merchants collect with, in Unix time.")
    if let credentials {
      text += "kassa_payment_credentials_end_timestamp_seconds \(credentials.endAt.secondsSinceEpoch)\n"
    }
    family("kassa_problems_total", "counter", "Problems answered, by their code.")
    for (code, count) in state.problems.sorted(by: { $0.key < $1.key }) {
      text += "kassa_problems_total{code=\"\(code)\"} \(count)\n"
    }
    family("kassa_open_connections", "gauge", "Connections open now.")
    text += "kassa_open_connections \(openConnections.load(ordering: .relaxed))\n"
    family("kassa_open_streams", "gauge", "Device streams open now.")
    text += "kassa_open_streams \(openStreams.load(ordering: .relaxed))\n"
    text += Self.callbackFigures(state, pending: pendingCallbacks) { name, type, help in
      "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }
    family("kassa_store_writes_total", "counter", "Writes made durable.")
    text += "kassa_store_writes_total \(store.writes)\n"
    family("kassa_store_commits_total", "counter", "Transactions that made them durable: writes share them.")
    text += "kassa_store_commits_total \(store.commits)\n"
    if let security {
      family("kassa_enrollment_codes_live", "gauge", "Typed codes that can be redeemed now.")
      text += "kassa_enrollment_codes_live \(security.security.liveTotal)\n"
      family("kassa_enrollment_code_attempts_used", "gauge", "Failed attempts at typed codes since 00:00 UTC.")
      text += "kassa_enrollment_code_attempts_used \(security.attemptsUsedToday)\n"
      family("kassa_enrollment_code_attempts_limit", "gauge", "Failed attempts at typed codes evaluated per UTC day.")
      text += "kassa_enrollment_code_attempts_limit \(security.attemptsPerDay)\n"
      family("kassa_enrollment_code_hit_chance", "gauge", "Chance per day that guessing hits a code; at most 2^-20.")
      text += "kassa_enrollment_code_hit_chance \(security.chanceOfHitPerDay)\n"
    }
    return text
  }
}

extension Metrics: CallbackObserver {
  package func callbackTried(_ outcome: CallbackOutcome) {
    state.withLock { state in
      switch outcome {
      case .acknowledged(let lagMilliseconds):
        state.callbackAttempts["acknowledged", default: 0] += 1
        state.callbackLag.observe(Double(lagMilliseconds) / 1000)
      case .failed: state.callbackAttempts["failed", default: 0] += 1
      case .dead:
        state.callbackAttempts["dead", default: 0] += 1
        state.callbacksDead += 1
      case .leaseLost: state.callbackAttempts["lease_lost", default: 0] += 1
      }
    }
  }

  private static func callbackFigures(
    _ state: State, pending: Int64?, family: (_ name: String, _ type: String, _ help: String) -> String
  ) -> String {
    var text = family("kassa_callback_attempts_total", "counter", "Tries to deliver a callback, by outcome.")
    for (outcome, count) in state.callbackAttempts.sorted(by: { $0.key < $1.key }) {
      text += "kassa_callback_attempts_total{outcome=\"\(outcome)\"} \(count)\n"
    }
    let lag = state.callbackLag
    text += family("kassa_callback_lag_seconds", "histogram", "Time from an event's commit to its acknowledgement.")
    for (bound, count) in zip(lag.bounds, lag.buckets) {
      text += "kassa_callback_lag_seconds_bucket{le=\"\(bound)\"} \(count)\n"
    }
    text += "kassa_callback_lag_seconds_bucket{le=\"+Inf\"} \(lag.count)\n"
    text += "kassa_callback_lag_seconds_sum \(lag.sumSeconds)\nkassa_callback_lag_seconds_count \(lag.count)\n"
    text += family("kassa_callback_dead_total", "counter", "Callbacks given up after their last try.")
    text += "kassa_callback_dead_total \(state.callbacksDead)\n"
    if let pending {
      text += family("kassa_callback_pending", "gauge", "Callbacks of the whole deployment that wait.")
      text += "kassa_callback_pending \(pending)\n"
    }
    return text
  }
}

extension PaymentNotice.What {
  /// A stable word, for labels.
  var name: String {
    switch self {
    case .outcome: "outcome"
    case .unknown: "unknown"
    case .settled: "settled"
    case .givenUp: "given_up"
    case .unverified: "unverified"
    case .lateMoney: "late_money"
    case .givenBack: "given_back"
    case .givingBack: "giving_back"
    case .cameBack: "came_back"
    case .reversalRefused: "reversal_refused"
    case .reversalUnknown: "reversal_unknown"
    }
  }
}
