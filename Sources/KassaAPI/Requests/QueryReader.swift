import KassaDomain
import KassaService
import KassaStore

/// Takes the parameters of a query one by one and gathers every flaw. Parameters nobody asks for are ignored.
struct QueryReader {
  private let items: [(name: String, value: String)]
  private(set) var flaws: [FieldFlaw] = []

  /// Reads `name=value&…` with percent-encoding, and `+` as a space. What is not UTF-8 so encoded is a flaw.
  init(_ query: String?) {
    var items: [(String, String)] = []
    for item in (query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
      let parts = item.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.decoded(parts[0]), let value = parts.count > 1 ? Self.decoded(parts[1]) : "" else {
        flaws.append(FieldFlaw("query", "must be percent-encoded UTF-8"))
        continue
      }
      items.append((name, value))
    }
    self.items = items
  }

  /// Ends the reading. Throws all flaws, if any.
  func finish() throws {
    guard flaws.isEmpty else { throw RequestFailure.invalid(flaws) }
  }

  mutating func refuse(_ name: String, _ message: String) {
    flaws.append(FieldFlaw(name, message))
  }

  mutating func integer(_ name: String, _ range: ClosedRange<Int64>, default value: Int64) -> Int64 {
    guard let text = single(name) else { return value }
    guard let number = Int64(text), range.contains(number), text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
      flaws.append(FieldFlaw(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)"))
      return value
    }
    return number
  }

  mutating func boolean(_ name: String, default value: Bool) -> Bool {
    switch single(name) {
    case nil: return value
    case "true": return true
    case "false": return false
    default:
      flaws.append(FieldFlaw(name, "must be true or false"))
      return value
    }
  }

  mutating func identifier<Entity>(_ name: String, of: Entity.Type) -> Identifier<Entity>? {
    guard let text = single(name) else { return nil }
    guard let id = Identifier<Entity>(text: text) else {
      flaws.append(FieldFlaw(name, "must be a UUID, like 550e8400-e29b-41d4-a716-446655440000"))
      return nil
    }
    return id
  }

  /// `metadata=key:value`, split at the first colon, at most five, no key twice (contract, section 2).
  mutating func metadata() -> [Metadata.Pair] {
    var pairs: [(key: String, value: String)] = []
    for item in items where sameBytes(item.name, "metadata") {
      // By bytes: what follows the colon may be a mark that would make one character with it.
      let bytes = item.value.utf8
      guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon != bytes.startIndex else {
        flaws.append(FieldFlaw("metadata", "must be key:value, split at the first colon"))
        return []
      }
      let key = String(decoding: bytes[..<colon], as: UTF8.self)
      if pairs.contains(where: { sameBytes($0.key, key) }) {
        flaws.append(FieldFlaw("metadata", "must not name a key twice"))
        return []
      }
      pairs.append((key, String(decoding: bytes[bytes.index(after: colon)...], as: UTF8.self)))
    }
    guard pairs.count <= APILimits.metadataFiltersMax else {
      flaws.append(FieldFlaw("metadata", "must be given at most \(APILimits.metadataFiltersMax) times"))
      return []
    }
    switch Metadata.make(pairs) {
    case .success(let metadata): return metadata.pairs
    case .failure(let failure):
      flaws.append(FieldFlaw("metadata", failure.all.map(\.message).joined(separator: "; ")))
      return []
    }
  }

  /// `page_number`, `page_size` and `cursor` (contract, section 1, "Paging").
  mutating func page(sizeMax: Int) -> PageRequest {
    let number = integer("page_number", 0...Int64(Int32.max), default: 0)
    let size = integer("page_size", 1...Int64(sizeMax), default: Int64(APILimits.pageSizeDefault))
    var after: PagePosition?
    if let cursor = single("cursor") {
      after = PageCursor.position(cursor)
      if after == nil { flaws.append(FieldFlaw("cursor", "must be the next_cursor of an earlier page")) }
      if number != 0 { flaws.append(FieldFlaw("page_number", "must be left out beside a cursor")) }
    }
    return PageRequest(number: Int(number), size: Int(size), after: after)
  }

  /// One of the cases' raw values.
  mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _ type: Choice.Type) -> Choice?
  where Choice.RawValue == String {
    guard let text = single(name) else { return nil }
    let choice = Choice.allCases.first { sameBytes($0.rawValue, text) }
    if choice == nil { refuse(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))") }
    return choice
  }

  mutating func single(_ name: String) -> String? {
    let values = items.filter { sameBytes($0.name, name) }
    if values.count > 1 { flaws.append(FieldFlaw(name, "must be given once")) }
    return values.first?.value
  }

  /// `nil` when a percent sign is not followed by two hexadecimal digits, or the bytes are not UTF-8 or hold U+0000.
  private static func decoded(_ encoded: some Collection<UInt8>) -> String? {
    var bytes: [UInt8] = []
    var iterator = encoded.makeIterator()
    while let byte = iterator.next() {
      switch byte {
      case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
      case UInt8(ascii: "%"):
        guard let high = iterator.next().flatMap(hexadecimalValue), let low = iterator.next().flatMap(hexadecimalValue)
        else { return nil }
        bytes.append(high << 4 | low)
      default: bytes.append(byte)
      }
    }
    return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
  }
}

/// The wire form of a place in a list: opaque to callers.
enum PageCursor {
  static func text(_ position: PagePosition) -> String {
    let time = UInt64(bitPattern: position.createdAt.millisecondsSinceEpoch)
    let timeBytes = stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: time >> UInt64($0)) }
    return base64URL(timeBytes + position.id.bytes)
  }

  static func position(_ text: String) -> PagePosition? {
    guard text.utf8.count == 32, let bytes = bytes(base64URL: text), bytes.count == 24,
      let id = SubjectID(bytes: Array(bytes.dropFirst(8)))
    else { return nil }
    let time = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return PagePosition(createdAt: Timestamp(millisecondsSinceEpoch: Int64(bitPattern: time)), id: id)
  }
}
