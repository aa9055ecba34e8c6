import KassaJSON

/// The other side of a provider: its wire over HTTP with state in memory, and buyers who do what they are told.
package protocol ProviderEmulator: Sendable {
  var world: EmulatorWorld { get }
  /// The provider's own calls.
  var routes: [EmulatorRoute] { get }
  /// Whose certificates the wire is served with; `nil` for plain HTTP.
  var tls: EmulatorTLS? { get }
  /// Whether it repeats under a key what it answered first, also that it broke.
  var keepsAnswers: Bool { get }

  /// Every payment, oldest first.
  func payments() -> [EmulatedPayment]
  /// A buyer does something with a payment, named by `EmulatedPayment.id`. Returns what is wrong with that, if anything.
  func buyer(_ action: BuyerAction, _ payment: String) -> String?
  /// From now on the merchant has nothing, or enough, to give back from. What was refused meanwhile stays refused.
  func emptyAccount(_ isEmpty: Bool)
  /// Called about every 50 ms and after the clock was moved: what ends by time ends now.
  func timePassed()
  /// What to enter where a program is set up to talk to this: names as `PaymentMethod` settings have them, and values.
  func settings(url: String) -> [(name: String, value: String)]
  /// The provider's shape for a call that no route takes, or that a fault refuses.
  func refusal(status: Int) -> EmulatorResponse
}

extension ProviderEmulator {
  /// The latest payment that a merchant calls so, whatever the case and the dashes that its wire wants.
  package func payment(of reference: String) -> EmulatedPayment? {
    func plain(_ text: String) -> String { text.lowercased().filter { $0 != "-" } }
    return payments().last { plain($0.reference) == plain(reference) }
  }

  package var tls: EmulatorTLS? { nil }
  package var keepsAnswers: Bool { false }
  package func emptyAccount(_ isEmpty: Bool) {}
  package func timePassed() {}
  package func refusal(status: Int) -> EmulatorResponse {
    .json(status) { $0.member("error", "refused by the emulator") }
  }
}

/// Who serves over TLS, and whom it lets in. All in PEM.
package struct EmulatorTLS: Sendable {
  package let certificateChain: String
  package let privateKey: String
  /// Whose client certificates are accepted; `nil` asks for none.
  package let clientRoots: String?

  package init(certificateChain: String, privateKey: String, clientRoots: String?) {
    self.certificateChain = certificateChain
    self.privateKey = privateKey
    self.clientRoots = clientRoots
  }
}

/// What a buyer does with what the till shows.
package enum BuyerAction: Equatable, Sendable {
  /// Scans the code, and is about to decide.
  case open
  case approve
  /// With the provider's own word for why, if there are several.
  case refuse(String?)
  /// Wants to pay, and the provider will not have it.
  case fail
  /// Does nothing, until the provider stops waiting: at once, whatever the clock says.
  case letExpire
}

/// A payment as the control API lists it.
package struct EmulatedPayment: Equatable, Sendable {
  package let id: String
  /// What the merchant called it.
  package let reference: String
  /// Minor units.
  package let amount: Int64
  package let currency: String
  /// In the provider's word.
  package let state: String
  /// Whether a buyer may still pay.
  package let isOpen: Bool
  /// What the code to scan says; `nil` where there is none.
  package let qrText: String?
  /// Reserved, and neither taken nor freed.
  package let held: Int64

  package init(
    id: String, reference: String, amount: Int64, currency: String, state: String, isOpen: Bool, qrText: String?,
    held: Int64 = 0
  ) {
    self.id = id
    self.reference = reference
    self.amount = amount
    self.currency = currency
    self.state = state
    self.isOpen = isOpen
    self.qrText = qrText
    self.held = held
  }
}

/// What every emulator has.
package struct EmulatorWorld: Sendable {
  package let clock: EmulatorClock
  package let ledger = EmulatorLedger()
  package let faults = EmulatorFaults()
  package let journal = EmulatorJournal()
  package let notifications: EmulatorNotifications

  package init() {
    let clock = EmulatorClock()
    self.clock = clock
    notifications = EmulatorNotifications(clock: clock)
  }
}
