/// String pairs that a backend attaches to an enrollment and that the device inherits (contract, section 2).
///
/// Holds at most 50 pairs, sorted by the bytes of their keys, each key once. Keys have 1 to 40 characters and no colon
/// (a filter splits at the first one), values at most 500. Characters are Unicode scalars.
package struct Metadata: Hashable, Sendable {
  package static let pairsMax = 50
  package static let keyCharactersMax = 40
  package static let valueCharactersMax = 500

  package struct Pair: Hashable, Sendable {
    package let key: String
    package let value: String

    package init(key: String, value: String) {
      self.key = key
      self.value = value
    }

    /// Bytewise, as the database compares.
    package static func == (left: Pair, right: Pair) -> Bool {
      sameBytes(left.key, right.key) && sameBytes(left.value, right.value)
    }

    package func hash(into hasher: inout Hasher) {
      for text in [key, value] {
        hasher.combine(text.utf8.count)
        for byte in text.utf8 { hasher.combine(byte) }
      }
    }
  }

  package let pairs: [Pair]

  package static let empty = Metadata(sorted: [])

  private init(sorted pairs: [Pair]) { self.pairs = pairs }

  /// What a store saved: pairs that `make` accepted, in its order.
  package init(restoring pairs: [Pair]) { self.init(sorted: pairs) }

  /// Why one pair, or the whole, is not metadata. `key` is `nil` when the number of pairs is what is wrong.
  package struct Flaw: Error, Equatable, Sendable {
    package let key: String?
    package let message: String
  }

  /// Takes pairs in any order. Fails with every flaw it finds. Keys must differ as bytes.
  package static func make(_ members: [(key: String, value: String)]) -> Result<Metadata, Flaws> {
    var flaws: [Flaw] = []
    if members.count > pairsMax {
      flaws.append(Flaw(key: nil, message: "must have at most \(pairsMax) pairs"))
    }
    for (key, value) in members {
      if let message = keyFlaw(key) { flaws.append(Flaw(key: key, message: message)) }
      if value.unicodeScalars.count > valueCharactersMax {
        flaws.append(Flaw(key: key, message: "must be at most \(valueCharactersMax) characters long"))
      }
    }
    let sorted = members.map { Pair(key: $0.key, value: $0.value) }.sorted { bytesPrecede($0.key, $1.key) }
    for (pair, next) in zip(sorted, sorted.dropFirst()) where sameBytes(pair.key, next.key) {
      flaws.append(Flaw(key: next.key, message: "must be given once"))
    }
    guard flaws.isEmpty else { return .failure(Flaws(all: flaws)) }
    return .success(Metadata(sorted: sorted))
  }

  /// Every flaw of one attempt to make metadata.
  package struct Flaws: Error, Equatable, Sendable {
    package let all: [Flaw]
  }

  /// What is wrong with a key, in words for the caller, or `nil`.
  package static func keyFlaw(_ key: String) -> String? {
    let length = key.unicodeScalars.count
    if length == 0 || length > keyCharactersMax { return "its key must have 1 to \(keyCharactersMax) characters" }
    if key.utf8.contains(UInt8(ascii: ":")) { return "its key must not contain a colon" }
    return nil
  }

  /// The same pairs with `value` under `key`, replacing what was there.
  package func setting(_ key: String, to value: String) -> Metadata {
    var changed = pairs.filter { !sameBytes($0.key, key) }
    changed.append(Pair(key: key, value: value))
    return Metadata(sorted: changed.sorted { bytesPrecede($0.key, $1.key) })
  }
}

/// Bytewise equality. Swift's `==` on strings is canonical equivalence, with which a database disagrees.
package func sameBytes(_ left: String, _ right: String) -> Bool {
  left.utf8.elementsEqual(right.utf8)
}

/// Bytewise order of UTF-8, which is also the order of Unicode scalars.
package func bytesPrecede(_ left: String, _ right: String) -> Bool {
  left.utf8.lexicographicallyPrecedes(right.utf8)
}
