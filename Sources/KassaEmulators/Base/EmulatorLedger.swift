import Synchronization

/// Every movement of money at one emulator, in order: what Kassa's books are compared with.
package final class EmulatorLedger: Sendable {
  package struct Entry: Equatable, Sendable {
    /// What the emulator calls the payment.
    package let payment: String
    /// A word for people: `capture`, `refund` …
    package let kind: String
    /// Minor units; positive is taken from the customer, negative given back.
    package let amount: Int64
    package let currency: String
  }

  private let log = Mutex<[Entry]>([])

  package init() {}

  package func take(_ amount: Int64, _ currency: String, of payment: String, _ kind: String) {
    note(amount, currency, payment, kind)
  }

  package func giveBack(_ amount: Int64, _ currency: String, of payment: String, _ kind: String) {
    note(-amount, currency, payment, kind)
  }

  package var entries: [Entry] { log.withLock { $0 } }

  /// What was taken and not given back, by currency; without currencies of which nothing ever moved.
  package var netTaken: [String: Int64] {
    log.withLock { $0.reduce(into: [:]) { $0[$1.currency, default: 0] += $1.amount } }
  }

  package func netTaken(of payment: String) -> Int64 {
    log.withLock { $0.filter { $0.payment == payment }.reduce(0) { $0 + $1.amount } }
  }

  private func note(_ amount: Int64, _ currency: String, _ payment: String, _ kind: String) {
    log.withLock { $0.append(Entry(payment: payment, kind: kind, amount: amount, currency: currency)) }
  }
}
