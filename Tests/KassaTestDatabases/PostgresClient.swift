import CLibPQ

/// A connection of a test's own, beside the store: to look at rows, to hold a transaction open, to do harm.
package final class PostgresClient {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  private let handle: OpaquePointer

  package init(_ url: String) throws {
    guard let connection = PQconnectdb(url) else { throw Failure(description: "no memory") }
    guard PQstatus(connection) == CONNECTION_OK else {
      defer { PQfinish(connection) }
      throw Failure(description: PQerrorMessage(connection).map { String(cString: $0) } ?? "")
    }
    handle = connection
  }

  deinit { PQfinish(handle) }

  /// Runs one or several statements, and gives the rows of the last as text.
  @discardableResult
  package func execute(_ sql: String) throws -> [[String?]] {
    let result = PQexec(handle, sql)
    defer { PQclear(result) }
    let status = PQresultStatus(result)
    guard status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK else {
      throw Failure(description: PQerrorMessage(handle).map { String(cString: $0) } ?? "")
    }
    return (0..<PQntuples(result)).map { row in
      (0..<PQnfields(result)).map { column in
        PQgetisnull(result, row, column) == 1 ? nil : PQgetvalue(result, row, column).map { String(cString: $0) }
      }
    }
  }
}
