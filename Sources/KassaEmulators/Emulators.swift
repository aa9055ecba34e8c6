/// The emulators that there are, by the word that `kassa emulate` knows them by.
package enum Emulators {
  package static let all: [(name: String, make: @Sendable () throws -> any ProviderEmulator)] = [
    ("stripe", { StripeEmulator() }), ("swish", { try SwishEmulator() }), ("vipps", { VippsEmulator() }),
    ("klarna", { KlarnaEmulator() }),
  ]
}
