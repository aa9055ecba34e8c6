import AsyncHTTPClient
import KassaDomain
import NIOCore
import Synchronization

/// Something that an emulator tells of its own accord.
package struct EmulatorNotification: Sendable {
  package typealias Headers = [(name: String, value: String)]

  /// Those of one chain are sent one after the other, the next only once the one before was taken or given up.
  package let chain: String
  /// The payment that it is about.
  package let payment: String
  /// A word for people and tests: which event.
  package let event: String
  package let url: String
  package let body: [UInt8]
  /// Made anew for each try, of the emulator's time: signatures carry it.
  package let headers: @Sendable (Timestamp) -> Headers
  /// The pauses after each try that failed; given up after the last.
  package let pausesSeconds: [Int64]
  /// Time for one try.
  package let tryMilliseconds: Int64

  package init(
    chain: String, payment: String, event: String, url: String, body: [UInt8], pausesSeconds: [Int64],
    tryMilliseconds: Int64 = 10_000, headers: @escaping @Sendable (Timestamp) -> Headers
  ) {
    self.chain = chain
    self.payment = payment
    self.event = event
    self.url = url
    self.body = body
    self.headers = headers
    self.pausesSeconds = pausesSeconds
    self.tryMilliseconds = tryMilliseconds
  }
}

/// The notifications of one emulator: sent by its clock as the real ones are, or held until a test says so.
package final class EmulatorNotifications: Sendable {
  private struct Waiting {
    let id: Int
    let notification: EmulatorNotification
    var tries = 0
    var due: Timestamp
    var isUnderWay = false
  }

  private struct State {
    var waiting: [Waiting] = []
    var sent: [(notification: EmulatorNotification, status: Int?)] = []
    var givenUp = 0
    var lastID = 0
    var isHeld = false
  }

  /// Notifications that may wait; beyond it new ones are dropped, as a provider that is overrun does.
  package static let waitingMax = 10_000
  /// Sent ones remembered.
  package static let sentMax = 20_000

  private let clock: EmulatorClock
  private let state = Mutex(State())

  package init(clock: EmulatorClock) { self.clock = clock }

  /// Held ones are sent by `deliver` only.
  package func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }

  package func send(_ notification: EmulatorNotification) {
    let now = clock.now
    state.withLock { state in
      guard state.waiting.count < Self.waitingMax else { return }
      state.lastID += 1
      state.waiting.append(Waiting(id: state.lastID, notification: notification, due: now))
    }
  }

  package var waitingCount: Int { state.withLock { $0.waiting.count } }

  /// Those that wait, oldest first.
  package var waiting: [EmulatorNotification] { state.withLock { $0.waiting.map(\.notification) } }

  package var givenUpCount: Int { state.withLock { $0.givenUp } }

  /// Each try that was made, with the status it was answered with; `nil` for none.
  package var sent: [(notification: EmulatorNotification, status: Int?)] { state.withLock { $0.sent } }

  /// Drops those that wait, as if they were lost. Returns how many.
  @discardableResult
  package func lose(where isMeant: (EmulatorNotification) -> Bool = { _ in true }) -> Int {
    state.withLock { state in
      let before = state.waiting.count
      state.waiting.removeAll { isMeant($0.notification) && !$0.isUnderWay }
      return before - state.waiting.count
    }
  }

  /// Sends now, one after the other, what waits; each `times` times, whatever is answered. Returns the statuses.
  @discardableResult
  package func deliver(
    times: Int = 1, where isMeant: @Sendable (EmulatorNotification) -> Bool = { _ in true }
  ) async -> [Int?] {
    let taken = state.withLock { state in
      let taken = state.waiting.filter { isMeant($0.notification) && !$0.isUnderWay }
      state.waiting.removeAll { isMeant($0.notification) && !$0.isUnderWay }
      return taken.map(\.notification)
    }
    var statuses: [Int?] = []
    for notification in taken {
      for _ in 0..<times { statuses.append(await attempt(notification)) }
    }
    return statuses
  }

  /// Sends the heads of all chains whose time has come, side by side, and waits for their answers. For the server's own
  /// round; does nothing while held.
  func deliverDue() async {
    let now = clock.now
    let due = state.withLock { state in
      guard !state.isHeld else { return [] as [Waiting] }
      var seen: Set<String> = []
      var due: [Waiting] = []
      for index in state.waiting.indices where seen.insert(state.waiting[index].notification.chain).inserted {
        guard !state.waiting[index].isUnderWay, state.waiting[index].due <= now else { continue }
        state.waiting[index].isUnderWay = true
        due.append(state.waiting[index])
      }
      return due
    }
    for head in due {
      Task {
        let status = await attempt(head.notification)
        settle(head.id, isTaken: status.map { (200..<300).contains($0) } ?? false)
      }
    }
  }

  private func settle(_ id: Int, isTaken: Bool) {
    let now = clock.now
    state.withLock { state in
      guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return }
      let pauses = state.waiting[index].notification.pausesSeconds
      let tries = state.waiting[index].tries
      if isTaken {
        state.waiting.remove(at: index)
      } else if tries < pauses.count {
        state.waiting[index].tries += 1
        state.waiting[index].due = now.adding(seconds: pauses[tries])
        state.waiting[index].isUnderWay = false
      } else {
        state.waiting.remove(at: index)
        state.givenUp += 1
      }
    }
  }

  private func attempt(_ notification: EmulatorNotification) async -> Int? {
    var request = HTTPClientRequest(url: notification.url)
    request.method = .POST
    for (name, value) in notification.headers(clock.now) { request.headers.replaceOrAdd(name: name, value: value) }
    request.body = .bytes(notification.body)
    let answer = try? await HTTPClient.shared.execute(request, timeout: .milliseconds(notification.tryMilliseconds))
    let status = answer.map { Int($0.status.code) }
    state.withLock { state in
      if state.sent.count >= Self.sentMax { state.sent.removeFirst(Self.sentMax / 10) }
      state.sent.append((notification, status))
    }
    return status
  }
}
