import KassaDomain
import KassaEmulators
import KassaServer
import KassaService
import Synchronization

/// The emulators that run inside a playground, each on a loopback port of its own.
final class BuiltInEmulators: PlaygroundEmulators {
  private struct Running: Sendable {
    let emulator: any ProviderEmulator
    let server: EmulatorServer
  }

  private let running = Mutex<[Running]>([])

  func start(publicURL: @escaping @Sendable () -> String) async throws -> [EmulatedMethod] {
    var methods: [EmulatedMethod] = []
    for (name, make) in Emulators.all {
      guard let method = Self.method(name) else { continue }
      let emulator = try make()
      let server = try await EmulatorServer.start(emulator)
      running.withLock { $0.append(Running(emulator: emulator, server: server)) }
      var settings = Dictionary(emulator.settings(url: server.url)) { $1 }
      // The demo shop's location has no address, by which Klarna would know its market.
      if method.provider == .klarna { settings["country"] = "SE" }
      methods.append(
        EmulatedMethod(
          BuiltInMethod(provider: method.provider, method: method.method, settings: settings),
          buyer: EmulatedBuyer(emulator: emulator)))
    }
    return methods
  }

  func advance(seconds: Int64) {
    for running in running.withLock({ $0 }) {
      running.emulator.world.clock.advance(seconds: seconds)
      running.emulator.timePassed()
    }
  }

  func stop() async {
    for running in running.withLock({ running in
      defer { running = [] }
      return running
    }) {
      await running.server.stop()
    }
  }

  /// By the emulator's word. Cards are simulated without an emulator: Stripe's is run by `kassa emulate`.
  private static func method(_ name: String) -> (provider: ProviderName, method: PaymentMethod)? {
    switch name {
    case "vipps": (.vipps, .vipps)
    case "klarna": (.klarna, .klarna)
    case "swish": (.swish, .swish)
    default: nil
    }
  }
}

/// The buyers of one emulator.
private struct EmulatedBuyer: BuyerSimulator {
  let emulator: any ProviderEmulator

  func buyer(_ act: BuyerAct, of charge: Charge) async -> Bool {
    let names = Set(charge.references.values.values)
    guard let payment = emulator.payments().last(where: { names.contains($0.id) || names.contains($0.reference) })
    else { return false }
    let action: BuyerAction =
      switch act {
      case .open: .open
      case .approve: .approve
      case .refuse: .refuse(nil)
      case .fail: .fail
      case .letExpire: .letExpire
      }
    return emulator.buyer(action, payment.id) == nil
  }
}
