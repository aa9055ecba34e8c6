import KassaDomain
import KassaService

extension SimulatedCardProvider: PhoneReaderProvider {
  /// Random, and good for nothing: whoever writes a phone can try the call without an account anywhere.
  package func connectionToken(for device: Device) async -> String? {
    var generator = SystemRandomNumberGenerator()
    return "simulated_\(String(generator.next(), radix: 36))\(String(generator.next(), radix: 36))"
  }
}
