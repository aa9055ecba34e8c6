import FoundationEssentials

/// One file of the pages in the browser, compiled in from `site`.
package struct WebFile: Sendable {
  /// Below `site`, like `pos/app.js`.
  package let path: String
  package let contentType: String
  package var bytes: [UInt8]
}

/// The POS app, the buyer's page and the portal, as the plain files that they are.
package enum WebSite {
  /// Every file, in the order of the paths. A file of an unknown kind, or one that cannot be read, is a mistake of the
  /// programmer.
  package static let files: [WebFile] = EmbeddedFiles.site.map { path, isBase64, text in
    let path = "\(path)"
    guard let kind = path.split(separator: ".").last, let contentType = contentTypes[String(kind)] else {
      preconditionFailure("no content type is known for \(path)")
    }
    guard isBase64 else { return WebFile(path: path, contentType: contentType, bytes: Array("\(text)".utf8)) }
    guard let data = Data(base64Encoded: "\(text)") else { preconditionFailure("\(path) was not embedded as base64") }
    return WebFile(path: path, contentType: contentType, bytes: Array(data))
  }

  private static let contentTypes = [
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
  ]
}
