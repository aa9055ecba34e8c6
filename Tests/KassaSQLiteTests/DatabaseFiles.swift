import Foundation
import GRDB

/// The transactions in the write-ahead log of the database at `path`: frames that end one (SQLite's file format,
/// section 4.1), among those of the log's present generation.
func commitsInLog(ofDatabaseAt path: String) throws -> Int {
  let log = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path)-wal")))
  func number(_ offset: Int) -> UInt32 { log[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) } }
  guard log.count >= 32 else { return 0 }
  let (pageSize, salts) = (Int(number(8)), log[16..<24])
  var commits = 0
  for frame in stride(from: 32, through: log.count - 24 - pageSize, by: 24 + pageSize) {
    guard log[frame + 8..<frame + 16].elementsEqual(salts) else { break }
    if number(frame + 4) != 0 { commits += 1 }
  }
  return commits
}

/// How often `needle` stands in the database file and in its write-ahead log.
func occurrences(of needle: [UInt8], inDatabaseAt path: String) throws -> Int {
  var found = 0
  for file in [path, "\(path)-wal"] where FileManager.default.fileExists(atPath: file) {
    let content = try Data(contentsOf: URL(fileURLWithPath: file))
    var rest = content.startIndex..<content.endIndex
    while let match = content.range(of: Data(needle), in: rest) {
      found += 1
      rest = match.upperBound..<content.endIndex
    }
  }
  return found
}

/// Moves the write-ahead log into the database file and empties it.
func checkpoint(databaseAt path: String) throws {
  let connection = try DatabaseQueue(path: path)
  defer { try? connection.close() }
  try connection.writeWithoutTransaction { database in
    let busy = try Int.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
    guard busy == 0 else { throw CheckpointRefused() }
  }
}

struct CheckpointRefused: Error {}
