/// What a provider calls an attempt, a capture or a refund: names and values that its adapter wants to be given again
/// with every later call. Opaque to everybody else. Never a secret.
package struct ProviderReferences: Equatable, Sendable, ExpressibleByDictionaryLiteral {
  /// Bounds what an adapter may keep: names and values together, in bytes.
  package static let bytesMax = 4096

  package private(set) var values: [String: String]

  package init(_ values: [String: String] = [:]) { self.values = values }

  package init(dictionaryLiteral elements: (String, String)...) {
    values = Dictionary(elements) { $1 }
  }

  /// How much they are, counted as `bytesMax` counts.
  package var bytes: Int { values.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count } }

  package subscript(_ name: String) -> String? { values[name] }

  /// These, with those of `newer` in the place of older ones of the same name.
  package func merging(_ newer: ProviderReferences) -> ProviderReferences {
    ProviderReferences(values.merging(newer.values) { $1 })
  }
}

/// What Kassa itself keeps among the references of an attempt whose money goes back. Adapters only read it.
extension ProviderReferences {
  private static let reversalTryName = "reverse_try"
  private static let reversalToldName = "reverse_told"

  /// Which try to give the money back is the current one, from 1. Each has a name of its own at the provider: what was
  /// refused under one is dead there, and asked for under the same name it would only be refused again.
  package var reversalTry: Int { values[Self.reversalTryName].flatMap { Int($0) } ?? 1 }

  /// Whether merchants were told that the money went back.
  var isReversalTold: Bool { values[Self.reversalToldName] != nil }

  /// These, with the next try as the current one. Never left out for their size: they hold one number.
  func beginningNextReversal(isTold: Bool) -> ProviderReferences {
    var next: ProviderReferences = [Self.reversalTryName: String(reversalTry + 1)]
    if isTold { next = next.merging([Self.reversalToldName: "true"]) }
    return merging(next)
  }
}
