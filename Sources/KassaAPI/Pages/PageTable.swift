import HTTPTypes
import KassaDomain
import KassaService
import KassaWeb

/// The pages in the browser by their addresses. They are no operations of the API: they need no credential, carry no
/// data of anybody, and the API's own description does not name them.
///
/// A file is at its path: `/pos/app.js`. The `index.html` of a folder is at the folder's name: `/pos`.
struct PageTable: Sendable {
  enum Match {
    case page(Page)
    case moved(to: String)
    case none
  }

  /// One file, and what its answer says of it.
  struct Page: Sendable {
    let file: WebFile
    /// Strong: the hash of the bytes (RFC 9110, section 8.8.3).
    let entityTag: String
  }

  /// Addresses that show the `index.html` of another folder. A step in braces stands for any text.
  private static let aliases: [(address: [String], folder: String)] = [
    (["pos", "pair"], "pos"),
    (["buyer", "{payment_id}"], "buyer"),
    (["receipt", "{receipt_token}"], "receipt"),
  ]
  /// Folders that are there in the playground only; elsewhere they answer as an unknown route does.
  private static let playgroundFolders = ["buyer", "start"]
  private static let index = "index.html"

  private let pages: [String: Page]

  init(_ files: [WebFile], isPlayground: Bool) {
    let served = files.filter { file in
      isPlayground || !Self.playgroundFolders.contains { file.path.hasPrefix("\($0)/") }
    }
    let shell = base64URL(sha256(served.flatMap { sha256($0.bytes) }))
    pages = Dictionary(
      uniqueKeysWithValues: served.map { file in
        let file = Self.naming(shell: shell, in: file)
        return (Self.address(of: file.path), Page(file: file, entityTag: "\"\(base64URL(sha256(file.bytes)))\""))
      })
  }

  func match(_ path: String) -> Match {
    if path == "/" {
      if let start = pages["/start"] { return .page(start) }
      return pages["/portal"] == nil ? .none : .moved(to: "/portal")
    }
    if let page = pages[path] { return .page(page) }
    if path.hasSuffix("/"), pages[String(path.dropLast())] != nil { return .moved(to: String(path.dropLast())) }
    let steps = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    for (address, folder) in Self.aliases where address.count == steps.count {
      let fits = zip(address, steps).allSatisfy { $0.hasPrefix("{") ? !$1.isEmpty : sameBytes($0, String($1)) }
      if fits, let page = pages["/\(folder)"] { return .page(page) }
    }
    return .none
  }

  private static func address(of path: String) -> String {
    path.hasSuffix("/\(index)") ? "/\(path.dropLast(index.utf8.count + 1))" : "/\(path)"
  }

  /// A service worker keeps the files of its app until its own bytes change: so it carries the hash of all files.
  private static func naming(shell: String, in file: WebFile) -> WebFile {
    guard file.path.hasSuffix("/worker.js") else { return file }
    var named = file
    named.bytes = Array(String(decoding: file.bytes, as: UTF8.self).replacing("SHELL_VERSION", with: shell).utf8)
    return named
  }
}
