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
