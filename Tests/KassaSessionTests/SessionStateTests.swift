import KassaDomain
import Testing

/// What holds in every cell of the matrix, and the sequences that a single cell does not show.
@Suite struct SessionStateTests {
  private let matrix: Matrix

  init() throws { matrix = try Matrix() }

  private func changes() -> [(cell: Matrix.Cell, next: Session, change: Session.Change)] {
    matrix.cells.compactMap { cell in
      guard case .changed(let next, let change) = cell.outcome else { return nil }
      return (cell, next, change)
    }
  }

  @Test func theMatrixIsWhole() {
    // 8 states without an attempt, 12 phases, and the 12 phases again at the last attempt.
    #expect(matrix.rows.count == 2 + 12 + 5 + 12)
    #expect(matrix.cells.count == matrix.rows.count * 18)
    #expect(Set(matrix.rows.map(\.name)).count == matrix.rows.count)
    #expect(Set(matrix.columns.map(\.name)).count == 18)
  }

  @Test func terminalStatesNeverChange() {
    for cell in matrix.cells where cell.row.state.isTerminal {
      if case .changed = cell.outcome { Issue.record("\(cell.row.name) changes by \(cell.column.name)") }
    }
  }

  @Test func eventsAreNumberedWithoutAGapAndVersionsCountChanges() {
    for (cell, next, change) in changes() {
      #expect(change.events.map(\.sequence) == (0..<change.events.count).map { Int64($0) + 2 }, "\(cell.row.name)")
      #expect(next.sequence == 1 + Int64(change.events.count))
      #expect(next.version == 2)
    }
  }

  @Test func aTerminalStateIsEnteredWithItsOneEvent() {
    for (cell, next, change) in changes() {
      let terminal = change.events.map(\.type).filter(\.isTerminal)
      let expected: [EventType] =
        switch next.state {
        case .created, .active: []
        case .finalized: [.sessionFinalized]
        case .cancelled: [.sessionCancelled]
        case .expired: [.sessionExpired]
        case .failed: [.sessionFailed]
        }
      #expect(terminal == expected, "\(cell.row.name), \(cell.column.name)")
      #expect(terminal.isEmpty || change.events.last?.type == terminal.last, "the end is told last")
    }
  }

  @Test func finalizedOnlyByMoneyThatMoved() {
    for (cell, next, _) in changes() {
      guard case .finalized(let payment, let order) = next.state else { continue }
      guard case .paid(let paid, let named) = cell.column.command else {
        Issue.record("\(cell.row.name) is finalized by \(cell.column.name)")
        continue
      }
      #expect(payment == paid && order == named)
    }
  }

  /// Once an attempt is under way nothing but a certain answer, or giving up on it, ends the session.
  @Test func aSessionWithAnAttemptNeverEndsWithoutACertainAnswer() {
    for (cell, next, _) in changes() where next.state.isTerminal {
      guard case .active(.some) = cell.row.state else { continue }
      switch cell.column.command {
      case .paid(matrix.this, _), .notPaid(matrix.this, _): break
      case .giveUp: #expect(next.state == .failed(.outcomeUnknown))
      default: Issue.record("\(cell.row.name) ends by \(cell.column.name)")
      }
    }
  }

  @Test func lateMoneyIsReversedInEveryTerminalState() throws {
    let (paid, late): (PaymentID, PaymentID) = (matrix.this, matrix.other)
    for row in matrix.rows where row.state.isTerminal {
      var session = try Make.session(in: row.state)
      let change = try session.apply(.paid(payment: late, order: matrix.order))
      #expect(change.mustReverse && !change.isChanged && change.events.isEmpty)
      #expect(session.state == row.state)
      // The one that paid is not late.
      let isPaid = if case .finalized = row.state { true } else { false }
      let again = try session.apply(.paid(payment: paid, order: try Make.id(99)))
      #expect(again.mustReverse == !isPaid && !again.isChanged && again.events.isEmpty, "\(row.name)")
      #expect(session.state == row.state, "the order keeps its name")
    }
  }

  @Test func lateMoneyIsToldWithTheNextNumberAndChangesNoState() throws {
    for row in matrix.rows where row.state.isTerminal {
      var session = try Make.session(in: row.state, sequence: 7)
      let event = session.noteLateMoney()
      #expect(event.type == .paymentLate && event.sequence == 8)
      #expect(session.sequence == 8 && session.version == 2 && session.state == row.state)
    }
  }

  @Test func theLastFailedAttemptEndsTheSessionWithBothEvents() throws {
    var session = try Make.session()
    var told = 1
    for number in 1...Session.failedAttemptsMax {
      let payment: PaymentID = try Make.id(UInt8(20 + number))
      told += try session.apply(.choose(payment: payment)).events.count
      #expect(try session.apply(.started(payment: payment)).isChanged)
      let change = try session.apply(.notPaid(payment: payment, .insufficientFunds))
      told += change.events.count
      #expect(session.failedAttempts == number)
      #expect(change.events.first?.reason == "INSUFFICIENT_FUNDS")
      if number < Session.failedAttemptsMax {
        #expect(session.state == .active(nil))
        #expect(change.events.map(\.type) == [.paymentFailed])
      } else {
        #expect(session.state == .failed(.attemptLimit))
        #expect(change.events.map(\.type) == [.paymentFailed, .sessionFailed])
        #expect(change.events.last?.reason == "ATTEMPT_LIMIT")
      }
    }
    #expect(session.sequence == Int64(told))
  }

  /// What the clerk took back does not count as a failure; what nobody paid in time does.
  @Test func onlyFailuresCount() throws {
    for (ending, failures) in [(Session.Ending.choice, 0), (.timedOut, 1)] {
      let payment: PaymentID = try Make.id(5)
      var session = try Make.session()
      _ = try session.apply(.choose(payment: payment))
      _ = try session.apply(.end(ending))
      let change = try session.apply(.notPaid(payment: payment, .cancelled))
      #expect(session.state == .active(nil) && session.failedAttempts == failures)
      #expect(change.events.map(\.reason) == (failures == 0 ? [] : ["TIMED_OUT"]))
    }
  }

  @Test func endingsAreOrdered() {
    #expect(Session.Ending.allCases.sorted() == [.choice, .timedOut, .expired, .cancelled])
  }

  /// Whatever is wanted, in whatever order and with answers missing between: the latest in the order is what comes.
  @Test(arguments: Session.Ending.allCases, Session.Ending.allCases)
  func theLaterEndingWins(first: Session.Ending, second: Session.Ending) throws {
    for isUnknownBetween in [false, true] {
      let payment: PaymentID = try Make.id(5)
      var session = try Make.session(
        in: .active(Session.Attempt(payment: payment, phase: .awaiting)))
      _ = try session.apply(.end(first))
      if isUnknownBetween { _ = try session.apply(.unknown(payment: payment)) }
      _ = try session.apply(.end(second))
      #expect(session.attempt(payment)?.phase.wantedEnding == max(first, second))
      _ = try session.apply(.unknown(payment: payment))
      #expect(session.attempt(payment)?.phase == .unresolved(max(first, second)))
      _ = try session.apply(.notPaid(payment: payment, .cancelled))
      let expected: Session.State =
        switch max(first, second) {
        case .choice, .timedOut: .active(nil)
        case .expired: .expired
        case .cancelled: .cancelled
        }
      #expect(session.state == expected)
    }
  }

  @Test func givingUpNeedsAnOutcomeThatIsNotKnown() {
    for cell in matrix.cells where cell.column.command == .giveUp {
      if case .active(.some(let attempt)) = cell.row.state, case .unresolved = attempt.phase {
        guard case .changed(let next, let change) = cell.outcome else {
          Issue.record("\(cell.row.name) cannot be given up")
          continue
        }
        #expect(next.state == .failed(.outcomeUnknown))
        #expect(change.events.map(\.type) == [.sessionFailed] && change.events.first?.reason == "OUTCOME_UNKNOWN")
      } else {
        #expect(cell.outcome == .none(mustReverse: false), "\(cell.row.name)")
      }
    }
  }

  /// An answer about another attempt than the one under way never moves that one.
  @Test func answersAboutAnotherAttemptLeaveTheOneUnderWayAlone() throws {
    for row in matrix.rows {
      guard case .active(.some) = row.state else { continue }
      for command: Session.Command in [
        .started(payment: matrix.other), .pending(payment: matrix.other), .unknown(payment: matrix.other),
        .notPaid(payment: matrix.other, .declinedGeneric), .paid(payment: matrix.other, order: matrix.order),
      ] {
        var session = try Make.session(in: row.state, failedAttempts: row.failedAttempts)
        let change = try session.apply(command)
        #expect(!change.isChanged && session.state == row.state)
      }
    }
  }
}
