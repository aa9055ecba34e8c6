import KassaDomain
import Testing

/// Every state of a session with every command, as the domain answers: what the reference page, the property tests and
/// the check of recorded events are made from.
struct Matrix {
  struct Row {
    let name: String
    let state: Session.State
    /// Before the command.
    let failedAttempts: Int
  }

  struct Column {
    let name: String
    let command: Session.Command
  }

  enum Outcome: Equatable {
    case refused(Refusal)
    case changed(to: Session, Session.Change)
    /// Nothing changes; the money, if any, is given back.
    case none(mustReverse: Bool)
  }

  struct Cell {
    let row: Row
    let column: Column
    let outcome: Outcome
  }

  /// The attempt under way, and one that is not.
  let this: PaymentID
  let other: PaymentID
  let order: OrderID
  let rows: [Row]
  let columns: [Column]
  let cells: [Cell]

  init() throws {
    let (this, other, order): (PaymentID, PaymentID, OrderID) = (try Make.id(11), try Make.id(12), try Make.id(13))
    func attempt(_ phase: Session.Phase) -> Session.State { .active(Session.Attempt(payment: this, phase: phase)) }
    var phases: [Session.Phase] = [.starting, .awaiting, .settling, .unresolved(nil)]
    phases += Session.Ending.allCases.map { .unresolved($0) }
    phases += Session.Ending.allCases.map { .cancelling($0) }
    var states: [Session.State] = [.created, .active(nil)] + phases.map(attempt)
    states += [.finalized(payment: this, order: order), .cancelled, .expired]
    states += Session.FailureReason.allCases.map { .failed($0) }
    let last = Session.failedAttemptsMax - 1
    let firsts = states.map { Row(name: Self.name($0), state: $0, failedAttempts: 0) }
    let lasts = phases.map {
      Row(name: Self.name(attempt($0)) + ", last attempt", state: attempt($0), failedAttempts: last)
    }
    rows = firsts + lasts
    var columns = [Column(name: "choose", command: .choose(payment: other))]
    for ending in Session.Ending.allCases {
      columns.append(Column(name: "end (\(Self.words(ending)))", command: .end(ending)))
    }
    for (payment, suffix) in [(this, ""), (other, " (another attempt)")] {
      columns += [
        Column(name: "started" + suffix, command: .started(payment: payment)),
        Column(name: "settle" + suffix, command: .settle(payment: payment)),
        Column(name: "paid" + suffix, command: .paid(payment: payment, order: order)),
        Column(name: "not paid" + suffix, command: .notPaid(payment: payment, .declinedGeneric)),
        Column(name: "pending" + suffix, command: .pending(payment: payment)),
        Column(name: "unknown" + suffix, command: .unknown(payment: payment)),
      ]
    }
    columns.append(Column(name: "give up", command: .giveUp))
    self.columns = columns
    var cells: [Cell] = []
    for row in rows {
      for column in columns {
        cells.append(Cell(row: row, column: column, outcome: try Self.outcome(row, column)))
      }
    }
    self.cells = cells
    (self.this, self.other, self.order) = (this, other, order)
  }

  private static func outcome(_ row: Row, _ column: Column) throws -> Outcome {
    let before = try Make.session(in: row.state, failedAttempts: row.failedAttempts)
    var session = before
    let change: Session.Change
    do {
      change = try session.apply(column.command)
    } catch {
      #expect(session == before, "\(row.name), \(column.name): a refusal changed something")
      return .refused(error)
    }
    #expect(change.isChanged == (session != before), "\(row.name), \(column.name): isChanged is wrong")
    #expect(change.isChanged || change.events.isEmpty, "\(row.name), \(column.name): an event without a change")
    return change.isChanged ? .changed(to: session, change) : .none(mustReverse: change.mustReverse)
  }

  static func words(_ ending: Session.Ending) -> String {
    switch ending {
    case .choice: "choice"
    case .timedOut: "timed out"
    case .expired: "expired"
    case .cancelled: "cancelled"
    }
  }

  /// The phase's name, without the ending wanted.
  static func name(_ phase: Session.Phase) -> String {
    switch phase {
    case .starting: "starting"
    case .awaiting: "awaiting"
    case .settling: "settling"
    case .unresolved: "unresolved"
    case .cancelling: "cancelling"
    }
  }

  static func name(_ state: Session.State) -> String {
    switch state {
    case .created, .finalized, .cancelled, .expired: state.name.rawValue
    case .failed(let reason): "\(state.name.rawValue) (\(reason.rawValue))"
    case .active(nil): "ACTIVE: choosing"
    case .active(.some(let attempt)):
      "ACTIVE: " + name(attempt.phase) + (attempt.phase.wantedEnding.map { " → \(words($0))" } ?? "")
    }
  }
}

extension Session.State {
  var isTerminal: Bool { !name.isOpen }
}

extension EventType {
  /// Tells of a session's end.
  var isTerminal: Bool {
    [.sessionFinalized, .sessionCancelled, .sessionExpired, .sessionFailed].contains(self)
  }
}
