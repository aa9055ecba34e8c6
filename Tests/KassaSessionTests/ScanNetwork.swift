import KassaDomain
import KassaService
import KassaStore
import Synchronization

/// A provider of scanned codes for tests, with a ledger of its own in memory, and buyers who do as they are told.
final class ScanNetwork: PaymentProvider, BuyerSimulator, NotifyingProvider {
  enum State: Sendable { case waiting, opened, paid, refused, failed, cancelled, expired, reversed }

  struct Entry: Sendable {
    var state = State.waiting
    let amount: Int64
    var captured: Int64 = 0
    var refunded: Int64 = 0
    var isReleased = false
    var movements: Set<SubjectID> = []
    var starts = 1
  }

  /// How a call goes wrong, once.
  enum Fault: Sendable { case loseAnswer, unreachable }

  private struct Book {
    var entries: [PaymentID: Entry] = [:]
    var faults: [String: [Fault]] = [:]
    var calls: [String] = []
    var refusesRefunds = false
  }

  private let book = Mutex(Book())
  let clock: @Sendable () -> Timestamp
  let askAgainSeconds: Int64?

  init(askAgainSeconds: Int64? = 2, clock: @escaping @Sendable () -> Timestamp) {
    self.clock = clock
    self.askAgainSeconds = askAgainSeconds
  }

  // MARK: For tests

  func entry(_ payment: PaymentID) -> Entry? { book.withLock { $0.entries[payment] } }
  func plan(_ fault: Fault, for call: String, count: Int = 1) {
    book.withLock { $0.faults[call, default: []] += Array(repeating: fault, count: count) }
  }
  func heal() { book.withLock { $0.faults = [:] } }
  func refuseRefunds(_ refuses: Bool) { book.withLock { $0.refusesRefunds = refuses } }
  func calls(_ name: String) -> Int { book.withLock { $0.calls.count { $0 == name } } }

  /// What buyers are out of.
  var netTaken: Int64 {
    book.withLock { book in
      book.entries.values.filter { $0.state == .paid }.reduce(0) { sum, entry in
        sum + (entry.isReleased ? entry.captured : entry.amount) - entry.refunded
      }
    }
  }

  func buyer(_ act: BuyerAct, of charge: Charge) async -> Bool {
    book.withLock { book in
      guard let entry = book.entries[charge.paymentID], entry.state == .waiting || entry.state == .opened else {
        return false
      }
      book.entries[charge.paymentID]?.state =
        switch act {
        case .open: .opened
        case .approve: .paid
        case .refuse: .refused
        case .fail: .failed
        case .letExpire: .expired
        }
      return true
    }
  }

  // MARK: The port

  func start(_ charge: Charge) async -> ProviderReport {
    report("start", charge) { entry in
      entry.starts += 1
    } missing: {
      Entry(amount: charge.amount)
    }
  }

  func settle(_ charge: Charge) async -> ProviderReport { report("settle", charge) { _ in } }
  func query(_ charge: Charge) async -> ProviderReport { report("query", charge) { _ in } }

  func cancel(_ charge: Charge) async -> ProviderReport {
    report("cancel", charge) { entry in
      if entry.state == .waiting || entry.state == .opened { entry.state = .cancelled }
    } missing: {
      Entry(state: .cancelled, amount: charge.amount)
    }
  }

  func capture(_ movement: MoneyMovement) async -> MovementReport {
    move("capture", movement.charge, movement.id) { entry in
      guard !entry.isReleased, movement.amount <= entry.amount - entry.captured else { return false }
      entry.captured += movement.amount
      return true
    }
  }

  func refund(_ movement: MoneyMovement) async -> MovementReport {
    let refuses = book.withLock { $0.refusesRefunds }
    return move("refund", movement.charge, movement.id) { entry in
      guard !refuses, movement.amount <= entry.captured - entry.refunded else { return false }
      entry.refunded += movement.amount
      return true
    }
  }

  func release(_ charge: Charge) async -> MovementReport {
    move("release", charge, nil) { entry in
      entry.isReleased = true
      return true
    }
  }

  func reverse(_ charge: Charge) async -> MovementReport {
    let refuses = book.withLock { $0.refusesRefunds }
    return move("reverse", charge, nil) { entry in
      guard !refuses else { return false }
      entry.state = .reversed
      return true
    }
  }

  /// Genuine when the body is the charge's secret, or `merchant PAYMENT` where the address names no attempt.
  func verdict(on notification: ProviderNotification, about charge: Charge?) async -> NotificationVerdict {
    let body = String(decoding: notification.body, as: UTF8.self)
    if let charge { return body == charge.notificationSecret ? .concerns(charge.paymentID) : .forged }
    let words = body.split(separator: " ")
    guard words.count == 2, words[0] == "genuine" else { return .forged }
    return PaymentID(text: words[1]).map { .concerns($0) } ?? .irrelevant
  }

  func check() async -> [ProviderFinding] { [ProviderFinding("The network answers.", isSound: true)] }

  func subscribe(to url: String) async -> Result<[String: String], ProviderSetupFailure> {
    url.hasPrefix("https:") || url.hasPrefix("http://localhost")
      ? .success(["signing_secret": "whisper \(url)"]) : .failure(ProviderSetupFailure("the address must be https"))
  }

  private func report(
    _ name: String, _ charge: Charge, _ change: (inout Entry) -> Void, missing: () -> Entry? = { nil }
  ) -> ProviderReport {
    let now = clock()
    let (answer, isOpened): (ProviderAnswer, Bool) = book.withLock { book in
      book.calls.append(name)
      let fault = book.faults[name]?.isEmpty == false ? book.faults[name]?.removeFirst() : nil
      if fault == .unreachable { return (.unknown("unreachable"), false) }
      if var entry = book.entries[charge.paymentID] {
        change(&entry)
        if now >= charge.waitsUntil, entry.state == .waiting || entry.state == .opened { entry.state = .expired }
        book.entries[charge.paymentID] = entry
      } else if let made = missing() {
        book.entries[charge.paymentID] = made
      }
      if fault == .loseAnswer { return (.unknown("lost"), false) }
      let answer: ProviderAnswer =
        switch book.entries[charge.paymentID]?.state {
        case nil: .notPaid(.notStarted)
        case .waiting, .opened: .pending
        case .paid: .paid(nil)
        case .refused, .cancelled, .reversed: .notPaid(.cancelled)
        case .failed: .notPaid(.insufficientFunds)
        case .expired: .notPaid(.timedOut)
        }
      return (answer, book.entries[charge.paymentID]?.state == .opened)
    }
    guard answer == .pending else { return ProviderReport(answer) }
    let code = NextAction.QRCode(
      text: "https://scan.example/\(charge.paymentID)", expiresAt: charge.waitsUntil, isBuyerPaying: isOpened)
    return ProviderReport(
      answer, nextAction: .showQR(code), references: ["reference": charge.paymentID.description],
      askAgainSeconds: askAgainSeconds)
  }

  private func move(
    _ name: String, _ charge: Charge, _ id: SubjectID?, _ change: (inout Entry) -> Bool
  ) -> MovementReport {
    book.withLock { book in
      book.calls.append(name)
      let fault = book.faults[name]?.isEmpty == false ? book.faults[name]?.removeFirst() : nil
      if fault == .unreachable { return MovementReport(.unknown("unreachable")) }
      guard var entry = book.entries[charge.paymentID], entry.state == .paid || entry.state == .reversed else {
        return MovementReport(.refused("there is no such payment"))
      }
      let isMade = id.map { entry.movements.contains($0) } ?? false
      if !isMade {
        guard change(&entry) else { return MovementReport(.refused("not so much is left")) }
        if let id { entry.movements.insert(id) }
        book.entries[charge.paymentID] = entry
      }
      return MovementReport(fault == .loseAnswer ? .unknown("lost") : .done, references: ["\(name)": "made"])
    }
  }
}
