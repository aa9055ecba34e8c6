import KassaDomain
import KassaService

/// The other side of real providers, run beside a playground. The program gives it to `KassaServer.run`: what serves
/// production does not contain it.
package protocol PlaygroundEmulators: Sendable {
  /// Listens. Returns how each method reaches its provider, and who stands in for its buyers. `publicURL` is where
  /// Kassa will be found, once it listens.
  func start(publicURL: @escaping @Sendable () -> String) async throws -> [EmulatedMethod]
  /// Moves their clocks with the playground's.
  func advance(seconds: Int64)
  func stop() async
}

package struct EmulatedMethod: Sendable {
  package let method: BuiltInMethod
  package let buyer: (any BuyerSimulator)?

  package init(_ method: BuiltInMethod, buyer: (any BuyerSimulator)?) {
    self.method = method
    self.buyer = buyer
  }
}
