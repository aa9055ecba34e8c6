import KassaStore

/// Where a PostgreSQL database is, as libpq reads it: `postgres://user:password@host:port/database?sslmode=…`, also with
/// several hosts. Its description never shows the password.
package struct PostgresAddress: Sendable, Equatable, CustomStringConvertible {
  let url: String

  /// `nil` for what is not such a URL.
  package init?(_ text: String) {
    guard text.hasPrefix("postgres://") || text.hasPrefix("postgresql://"), !text.utf8.contains(0) else { return nil }
    url = text
  }

  /// Whether the URL itself holds a password.
  package var hasPassword: Bool { userInformation.password != nil || secretParameter != nil }

  /// The URL without password.
  package var description: String {
    let (head, name, _, rest) = userInformation
    let shown = name.map { "\(head)\($0)@\(rest)" } ?? "\(head)\(rest)"
    guard let query = shown.firstIndex(of: "?") else { return shown }
    let kept = shown[shown.index(after: query)...].split(separator: "&").filter { !Self.isSecret($0) }
    return shown[..<query] + (kept.isEmpty ? "" : "?" + kept.joined(separator: "&"))
  }

  /// The same server and user with another database.
  package func naming(database: String) -> PostgresAddress? {
    let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    guard let scheme = parts[0].range(of: "://") else { return nil }
    let authority = parts[0][scheme.upperBound...].prefix { $0 != "/" }
    return PostgresAddress(
      parts[0][..<scheme.upperBound] + authority + "/\(database)" + (parts.count > 1 ? "?\(parts[1])" : ""))
  }

  private var secretParameter: Substring? {
    url.split(separator: "?", maxSplits: 1).dropFirst().first?.split(separator: "&").first(where: Self.isSecret)
  }

  private static func isSecret(_ parameter: Substring) -> Bool {
    let name = parameter.prefix { $0 != "=" }.lowercased()
    return name.contains("password") || name.contains("%")
  }

  /// Scheme, user, password, and what follows the `@`. A password may itself hold an `@` or a slash that was not escaped.
  private var userInformation: (head: Substring, name: Substring?, password: Substring?, rest: Substring) {
    guard let scheme = url.range(of: "://") else { return ("", nil, nil, url[...]) }
    let beforeQuery = url[scheme.upperBound...].prefix { $0 != "?" }
    guard let at = beforeQuery.lastIndex(of: "@") else {
      return (url[..<scheme.upperBound], nil, nil, url[scheme.upperBound...])
    }
    let user = beforeQuery[..<at]
    let rest = url[url.index(after: at)...]
    guard let colon = user.firstIndex(of: ":") else { return (url[..<scheme.upperBound], user, nil, rest) }
    return (url[..<scheme.upperBound], user[..<colon], user[user.index(after: colon)...], rest)
  }
}

extension String {
  fileprivate func range(of text: String) -> Range<String.Index>? { self[...].range(of: text) }
}

extension Substring {
  fileprivate func range(of text: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}
