import CLibPQ
import KassaDomain
import KassaStore

/// What a statement answered.
final class PostgresResult {
  private let handle: OpaquePointer

  /// Takes the result over, and frees it in the end.
  init(_ handle: OpaquePointer) {
    self.handle = handle
  }

  deinit { PQclear(handle) }

  var rowCount: Int { Int(PQntuples(handle)) }

  /// What the command did: `COMMIT`, `UPDATE 1` …
  var command: String { PQcmdStatus(handle).map { String(cString: $0) } ?? "" }

  /// Rows that were changed, or returned.
  var changedRows: Int { PQcmdTuples(handle).flatMap { Int(String(cString: $0)) } ?? 0 }

  subscript(index: Int) -> PostgresRow { PostgresRow(result: self, index: Int32(index)) }

  fileprivate func isNull(_ row: Int32, _ column: Int32) -> Bool { PQgetisnull(handle, row, column) == 1 }

  fileprivate func bytes(_ row: Int32, _ column: Int32) -> UnsafeRawBufferPointer {
    guard let start = PQgetvalue(handle, row, column) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(handle, row, column)))
  }
}

/// A row of a result in PostgreSQL's binary form.
struct PostgresRow {
  fileprivate let result: PostgresResult
  fileprivate let index: Int32

  func isNull(_ column: Int32) -> Bool { result.isNull(index, column) }

  /// A `bigint`; 0 for NULL.
  func integer(_ column: Int32) -> Int64 {
    let bytes = result.bytes(index, column)
    return bytes.count == 8
      ? Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
      : Int64(truncatingIfNeeded: bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }

  func bool(_ column: Int32) -> Bool { result.bytes(index, column).first == 1 }
  func time(_ column: Int32) -> Timestamp { Timestamp(millisecondsSinceEpoch: integer(column)) }
  func optionalTime(_ column: Int32) -> Timestamp? { isNull(column) ? nil : time(column) }
  func text(_ column: Int32) -> String { String(decoding: result.bytes(index, column), as: UTF8.self) }
  func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }
  func bytes(_ column: Int32) -> [UInt8] { Array(result.bytes(index, column)) }
  func optionalBytes(_ column: Int32) -> [UInt8]? { isNull(column) ? nil : bytes(column) }

  func id<Entity>(_ column: Int32, of: Identifier<Entity>.Type = Identifier<Entity>.self) throws -> Identifier<Entity> {
    guard let id = Identifier<Entity>(bytes: result.bytes(index, column)) else {
      throw StoreError.unusable(OperatorDetail("column \(column) does not hold an identifier"))
    }
    return id
  }

  func optionalID<Entity>(
    _ column: Int32, of: Identifier<Entity>.Type = Identifier<Entity>.self
  ) throws -> Identifier<Entity>? {
    isNull(column) ? nil : try id(column)
  }
}
