import KassaDomain

/// One parameter of a statement, sent in PostgreSQL's binary form. The server infers each parameter's type from where it
/// stands; every integer column is a `bigint`, so that the forms agree.
enum PostgresValue {
  case null
  case integer(Int64)
  case flag(Bool)
  case text(String)
  /// For `bytea`, and for `uuid` with its 16 bytes.
  case bytes([UInt8])
  case integers([Int64])
  case texts([String])
  case ids([[UInt8]])

  static func time(_ timestamp: Timestamp) -> PostgresValue { .integer(timestamp.millisecondsSinceEpoch) }
  static func time(_ timestamp: Timestamp?) -> PostgresValue { timestamp.map { time($0) } ?? .null }
  static func id<Entity>(_ id: Identifier<Entity>) -> PostgresValue { .bytes(id.bytes) }
  static func id<Entity>(_ id: Identifier<Entity>?) -> PostgresValue { id.map { .bytes($0.bytes) } ?? .null }
  static func text(_ text: String?) -> PostgresValue { text.map { .text($0) } ?? .null }
  static func bytes(_ bytes: [UInt8]?) -> PostgresValue { bytes.map { .bytes($0) } ?? .null }
}

/// The parameters of one statement as one run of bytes.
struct PostgresParameters {
  private(set) var bytes: [UInt8] = []
  /// Where each value starts.
  private(set) var starts: [Int] = []
  /// How long each value is; -1 for NULL.
  private(set) var lengths: [Int32] = []

  init(_ values: [PostgresValue]) {
    bytes.reserveCapacity(64 + 32 * values.count)
    for value in values {
      starts.append(bytes.count)
      if case .null = value {
        lengths.append(-1)
      } else {
        append(value)
        lengths.append(Int32(bytes.count - starts[starts.count - 1]))
      }
    }
    // So that also an empty last value has an address.
    bytes.append(0)
  }

  private mutating func append(_ value: PostgresValue) {
    switch value {
    case .null: break
    case .integer(let integer): appendBigEndian(integer)
    case .flag(let flag): bytes.append(flag ? 1 : 0)
    case .text(let text): bytes.append(contentsOf: text.utf8)
    case .bytes(let value): bytes.append(contentsOf: value)
    case .integers(let integers):
      appendArrayHead(count: integers.count, elementType: 20)
      for integer in integers {
        appendBigEndian(Int32(8))
        appendBigEndian(integer)
      }
    case .texts(let texts):
      appendArrayHead(count: texts.count, elementType: 25)
      for text in texts {
        appendBigEndian(Int32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
      }
    case .ids(let ids):
      appendArrayHead(count: ids.count, elementType: 2950)
      for id in ids {
        appendBigEndian(Int32(id.count))
        bytes.append(contentsOf: id)
      }
    }
  }

  /// Dimensions, whether there are NULLs, the elements' type, and of the one dimension its length and first index.
  private mutating func appendArrayHead(count: Int, elementType: Int32) {
    appendBigEndian(Int32(count == 0 ? 0 : 1))
    appendBigEndian(Int32(0))
    appendBigEndian(elementType)
    if count > 0 {
      appendBigEndian(Int32(count))
      appendBigEndian(Int32(1))
    }
  }

  private mutating func appendBigEndian(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }
}
