import Foundation
import KassaDomain
import Testing

/// `docs/reference/sessions.md` is made from the domain itself; `KASSA_UPDATE_GOLDEN=1` rewrites it.
@Suite struct SessionReferenceGoldenTests {
  private let matrix: Matrix

  init() throws { matrix = try Matrix() }

  @Test func theReferenceIsThatOfTheDomain() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("docs/reference/sessions.md")
    let document = document()
    if ProcessInfo.processInfo.environment["KASSA_UPDATE_GOLDEN"] == "1" {
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(document.utf8).write(to: file)
    }
    let documented = String(decoding: try Data(contentsOf: file), as: UTF8.self)
    #expect(document == documented, "run with KASSA_UPDATE_GOLDEN=1, and read the difference")
  }

  private func document() -> String {
    var lines = [
      "# Sessions: every state, every command", "",
      "Made from the code by a test; `make golden` writes it anew. What the words mean: [Concepts](../concepts.md).",
      "",
      "## The states that the API shows", "",
      "An arrow is labelled with the events that it emits.", "", "```mermaid", "stateDiagram-v2",
    ]
    lines += publicDiagram() + ["```", ""]
    lines += [
      "## An attempt to pay, within ACTIVE", "",
      "An arrow is labelled with the commands that take it. *choosing*: no attempt is under way.", "",
      "```mermaid", "stateDiagram-v2",
    ]
    lines += phaseDiagram() + ["```", ""]
    lines += [
      "## The table", "",
      "\(matrix.cells.count) cells. *none*: nothing changes. *reversed*: money moved for a session that ended without it,"
        + " and is given back.",
      "*another attempt*: the answer or the wish is about an attempt that is not under way. *→ ending*: what follows",
      "once it is certain that no money moved. *last attempt*: \(Session.failedAttemptsMax - 1) attempts failed before.",
      "",
    ]
    for row in matrix.rows {
      lines += ["### \(row.name)", "", "| command | becomes | events |", "| --- | --- | --- |"]
      for cell in matrix.cells where cell.row.name == row.name {
        let (next, events) = words(cell.outcome)
        lines.append("| \(cell.column.name) | \(next) | \(events) |")
      }
      lines.append("")
    }
    return lines.joined(separator: "\n")
  }

  private func words(_ outcome: Matrix.Outcome) -> (next: String, events: String) {
    switch outcome {
    case .refused(let refusal): ("refused: \(refusal)", "")
    case .none(let mustReverse): (mustReverse ? "none; reversed" : "none", "")
    case .changed(let session, let change):
      (
        Matrix.name(session.state),
        change.events.isEmpty ? "none" : change.events.map(\.type.rawValue).joined(separator: ", ")
      )
    }
  }

  private func publicDiagram() -> [String] {
    var edges = ["  [*] --> CREATED: \(EventType.sessionCreated.rawValue)"]
    for (cell, next, change) in changes() {
      let (from, to) = (cell.row.state.name, next.state.name)
      if from == to, change.events.isEmpty { continue }
      let label = change.events.map(\.type.rawValue).joined(separator: ", ")
      let edge = "  \(from.rawValue) --> \(to.rawValue): \(label)"
      if !edges.contains(edge) { edges.append(edge) }
    }
    for state in Session.StateName.allCases where !state.isOpen { edges.append("  \(state.rawValue) --> [*]") }
    return edges
  }

  private func phaseDiagram() -> [String] {
    var edges: [(from: String, to: String, labels: [String])] = []
    func add(_ from: String, _ to: String, _ label: String) {
      if let index = edges.firstIndex(where: { $0.from == from && $0.to == to }) {
        if !edges[index].labels.contains(label) { edges[index].labels.append(label) }
      } else {
        edges.append((from, to, [label]))
      }
    }
    for (cell, next, _) in changes() {
      guard let to = node(next.state) else { continue }
      add(node(cell.row.state) ?? "[*]", to, cell.column.name)
    }
    return edges.map { "  \($0.from) --> \($0.to): \($0.labels.joined(separator: ", "))" }
  }

  private func node(_ state: Session.State) -> String? {
    switch state {
    case .created: nil
    case .active(nil): "choosing"
    case .active(.some(let attempt)): Matrix.name(attempt.phase)
    case .finalized, .cancelled, .expired, .failed: state.name.rawValue
    }
  }

  private func changes() -> [(cell: Matrix.Cell, next: Session, change: Session.Change)] {
    matrix.cells.compactMap { cell in
      guard case .changed(let next, let change) = cell.outcome else { return nil }
      return (cell, next, change)
    }
  }
}
