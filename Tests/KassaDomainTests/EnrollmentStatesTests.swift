import Foundation
import KassaDomain
import Testing

/// Walks every (state, command, before or from expiry on) and holds the result to `docs/reference/states.md`.
/// `KASSA_UPDATE_GOLDEN=1` rewrites that file.
struct EnrollmentStatesTests {
  private enum Moment: CaseIterable {
    case before, fromThenOn

    var words: String {
      switch self {
      case .before: "before `expires_at`"
      case .fromThenOn: "from `expires_at` on"
      }
    }

    /// The last moment before, and the first of those after.
    var time: Timestamp {
      switch self {
      case .before: EnrollmentStatesTests.expiresAt.adding(milliseconds: -1)
      case .fromThenOn: EnrollmentStatesTests.expiresAt
      }
    }
  }

  private enum Outcome: Equatable {
    case moved(to: Enrollment.StateName, event: EventType)
    case unchanged
    case refused(Refusal)

    var words: String {
      switch self {
      case .moved(let state, let event): "\(state.rawValue), `\(event.rawValue)`"
      case .unchanged: "no change"
      case .refused(let refusal): "refused: \(refusal)"
      }
    }
  }

  private static let createdAt = Timestamp(millisecondsSinceEpoch: 1_705_318_200_000)
  private static let expiresAt = createdAt.adding(seconds: 7200)
  private static let code = SealedCode(codeHash: [1], tokenHash: [2], sealed: [3], typedSymbols: 8)

  private static func id<Entity>(_ seed: UInt64) -> Identifier<Entity> {
    var generator = SeededGenerator(seed: seed)
    return Identifier(using: &generator)
  }

  private static var commands: [Enrollment.Command] { [.redeem(by: id(7)), .cancel, .expire] }

  /// Exhaustive, so that a new command does not compile until it is in the list above.
  private static func name(_ command: Enrollment.Command) -> String {
    switch command {
    case .redeem: "redeem"
    case .cancel: "cancel"
    case .expire: "expire"
    }
  }

  private static func enrollment(in state: Enrollment.StateName) -> Enrollment {
    let stored: Enrollment.State =
      switch state {
      case .pending: .pending(code)
      case .consumed: .consumed(device: id(6))
      case .expired: .expired
      case .cancelled: .cancelled
      }
    return Enrollment(
      restoring: id(1), merchantID: id(2), locationID: id(3), metadata: .empty, createdAt: createdAt,
      expiresAt: expiresAt, state: stored, version: 4)
  }

  private static func outcome(
    _ state: Enrollment.StateName, _ command: Enrollment.Command, _ moment: Moment
  ) -> Outcome {
    let before = enrollment(in: state)
    var after = before
    do throws(Refusal) {
      guard let event = try after.apply(command, at: moment.time) else {
        #expect(after == before, "an edge without an event changes nothing")
        return .unchanged
      }
      #expect(after.version == before.version + 1)
      #expect(after.state != before.state)
      return .moved(to: after.state.name, event: event)
    } catch {
      #expect(after == before, "a refusal changes nothing")
      return .refused(error)
    }
  }

  /// One line of the diagram: where the command leads, and when, if only at one of the two moments.
  private static func edges() -> [String] {
    var edges: [String] = []
    for state in Enrollment.StateName.allCases {
      for command in commands {
        let outcomes = Moment.allCases.map { (moment: $0, outcome: outcome(state, command, $0)) }
        let isAlways = outcomes.allSatisfy { $0.outcome == outcomes[0].outcome }
        for (moment, outcome) in isAlways ? Array(outcomes.prefix(1)) : outcomes {
          guard case .moved(let next, let event) = outcome else { continue }
          let when = isAlways ? "" : " \(moment.words.replacing("`", with: ""))"
          edges.append("  \(state.rawValue) --> \(next.rawValue): \(name(command))\(when) / \(event.rawValue)")
        }
      }
    }
    return edges
  }

  private static func document() -> String {
    var lines = [
      "# States", "",
      "Written by a test from the state machines themselves: `KASSA_UPDATE_GOLDEN=1 swift test` writes it anew.", "",
      "## Enrollment", "", "```mermaid", "stateDiagram-v2",
      "  [*] --> PENDING: \(EventType.enrollmentCreated.rawValue)",
    ]
    lines += edges()
    lines += ["```", "", "An arrow's label is *command / event*.", ""]
    lines.append("| state | command | \(Moment.before.words) | \(Moment.fromThenOn.words) |")
    lines.append("| --- | --- | --- | --- |")
    for state in Enrollment.StateName.allCases {
      for command in commands {
        let cells = Moment.allCases.map { outcome(state, command, $0).words }
        lines.append("| \(state.rawValue) | \(name(command)) | \(cells.joined(separator: " | ")) |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  @Test func theTableIsTheDocumentedOne() throws {
    let golden = repositoryRoot.appendingPathComponent("docs/reference/states.md")
    let document = Self.document()
    if ProcessInfo.processInfo.environment["KASSA_UPDATE_GOLDEN"] == "1" {
      try FileManager.default.createDirectory(
        at: golden.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(document.utf8).write(to: golden)
    }
    let documented = String(decoding: try Data(contentsOf: golden), as: UTF8.self)
    #expect(document == documented, "run with KASSA_UPDATE_GOLDEN=1, and read the difference")
  }

  @Test func redeemingNamesTheDevice() throws {
    let device: DeviceID = Self.id(7)
    var enrollment = Self.enrollment(in: .pending)
    #expect(try enrollment.apply(.redeem(by: device), at: Self.createdAt) == .enrollmentConsumed)
    #expect(enrollment.state == .consumed(device: device))
  }

  @Test func nothingLeavesConsumedAndCancelled() {
    for state in [Enrollment.StateName.consumed, .cancelled] {
      for command in Self.commands {
        for moment in Moment.allCases {
          if case .moved = Self.outcome(state, command, moment) { Issue.record("\(state) was left by \(command)") }
        }
      }
    }
  }

  @Test func aNewOneIsPendingWithVersionOne() {
    let enrollment = Enrollment(
      id: Self.id(1), merchantID: Self.id(2), locationID: Self.id(3), metadata: .empty, createdAt: Self.createdAt,
      expiresAt: Self.expiresAt, code: Self.code)
    #expect(enrollment.state == .pending(Self.code))
    #expect(enrollment.version == 1)
  }

  @Test func pendingReadsExpiredFromItsTimeOn() {
    for state in Enrollment.StateName.allCases {
      let enrollment = Self.enrollment(in: state)
      #expect(enrollment.stateName(at: Moment.before.time) == state)
      #expect(enrollment.stateName(at: Moment.fromThenOn.time) == (state == .pending ? .expired : state))
    }
  }
}
