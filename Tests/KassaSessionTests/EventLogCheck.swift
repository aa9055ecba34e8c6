import KassaDomain
import KassaService
import KassaStore

/// Whether recorded events spell a path of the matrix: numbered from 1 without a gap, and each the next edge's.
///
/// States without events between are followed in every way the matrix allows.
struct EventLogCheck {
  /// An edge between two states, with the events it emits.
  private struct Edge {
    let from: String
    let to: String
    let events: [EventType]
  }

  private let edges: [Edge]

  init() throws {
    var edges: [Edge] = []
    for cell in try Matrix().cells {
      guard case .changed(let next, let change) = cell.outcome else { continue }
      edges.append(
        Edge(
          from: Matrix.name(cell.row.state), to: Matrix.name(next.state), events: change.events.map(\.type)))
    }
    self.edges = edges
  }

  /// What is wrong; `nil` for a legal history that ends in `state`.
  func flaw(_ events: [Event], endingIn state: Session.State) -> String? {
    let numbers = events.map(\.sequence)
    if numbers != (0..<events.count).map({ Int64($0) + 1 }) { return "numbered \(numbers)" }
    let terminal = events.filter(\.type.isTerminal)
    if terminal.count != (state.isTerminal ? 1 : 0) { return "\(terminal.count) terminal events in \(state.name)" }
    for event in events {
      let hasOrder = event.orderID != nil
      // Late money of another attempt may be told of a session that is paid.
      if event.type != .paymentLate, hasOrder != (event.type == .sessionFinalized) { return "\(event.type): order" }
    }
    guard events.first?.type == .sessionCreated else { return "begins with \(events.map(\.type))" }
    // Late money is told in whatever state the session is, after a method was chosen.
    let types = events.map(\.type)
    if let late = types.firstIndex(of: .paymentLate), !types[..<late].contains(.sessionActivated) {
      return "late money before a method was chosen"
    }
    let path = types.dropFirst().filter { $0 != .paymentLate }
    guard reachable(path).contains(Matrix.name(state)) else { return "\(types) does not lead to \(Matrix.name(state))" }
    return nil
  }

  private func reachable(_ path: [EventType]) -> Set<String> {
    var seen: Set<String> = []
    var waiting: [(state: String, position: Int)] = [("CREATED", 0)]
    var ends: Set<String> = []
    while let (state, position) = waiting.popLast() {
      guard seen.insert("\(state) \(position)").inserted else { continue }
      if position == path.count { ends.insert(state) }
      for edge in edges where edge.from == state && path[position...].starts(with: edge.events) {
        waiting.append((edge.to, position + edge.events.count))
      }
    }
    return ends
  }
}

/// What is wrong with one session, its attempts, its events, and the network's book of them; empty when they agree.
func disagreements(_ view: SessionView, charges: [PaymentID: SimulatedCharge], _ log: EventLogCheck) -> [String] {
  var found: [String] = []
  if let flaw = log.flaw(view.history, endingIn: view.session.state) { found.append(flaw) }
  var charged: [PaymentID] = []
  for payment in view.payments where charges[payment.id]?.state == .charged { charged.append(payment.id) }
  switch view.session.state {
  case .finalized(let payment, let order):
    if charged != [payment] { found.append("finalized, and charged \(charged.count) times") }
    let told = view.history.last { $0.type == .sessionFinalized }?.orderID
    if told != order { found.append("the event names another order") }
    if view.payments.first(where: { $0.id == payment })?.state != .succeeded {
      found.append("the payment did not succeed")
    }
  case .created, .active, .cancelled, .expired, .failed:
    if !charged.isEmpty { found.append("charged in \(Matrix.name(view.session.state))") }
    if view.payments.contains(where: { $0.state == .succeeded }) {
      found.append("a payment succeeded without an order")
    }
  }
  let (reversed, told) = (
    view.payments.filter { $0.state == .reversed }, view.history.filter { $0.type == .paymentLate }
  )
  if reversed.count != told.count { found.append("\(reversed.count) reversed, \(told.count) told") }
  for payment in reversed where charges[payment.id]?.state != .refunded { found.append("reversed and not given back") }
  return found
}
