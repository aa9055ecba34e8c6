import Foundation

/// Writes the files named by the arguments into one Swift file: `embed-files OUTPUT.swift SITE FILE…`. Those below the
/// folder `SITE` become entries of a list, with their paths in it; any other becomes a constant named after it.
/// What is not UTF-8 text is written in base64, which only the list can hold.
@main
struct EmbedFiles {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard let output = arguments.first, let site = arguments.dropFirst().first.map({ $0 + "/" }) else { return }
    let paths = arguments.dropFirst(2)
    var source = "/// Files of this target, compiled in. Generated.\nenum EmbeddedFiles {\n"
    for path in paths where !path.hasPrefix(site) {
      let file = URL(filePath: path)
      let name = file.lastPathComponent.replacing(".", with: "_")
      source += "  static let \(name): StaticString = \(literal(try String(contentsOf: file, encoding: .utf8)))\n"
    }
    let pages = paths.filter { $0.hasPrefix(site) }
    if !pages.isEmpty {
      source += "  static let site: [(path: StaticString, isBase64: Bool, text: StaticString)] = [\n"
      for path in pages {
        let data = try Data(contentsOf: URL(filePath: path))
        let text = String(data: data, encoding: .utf8)
        let embedded = literal(text ?? data.base64EncodedString())
        source += "(\"\(path.dropFirst(site.count))\", \(text == nil), \(embedded)),\n"
      }
      source += "  ]\n"
    }
    try Data((source + "}\n").utf8).write(to: URL(filePath: output))
  }

  private static func literal(_ text: String) -> String { "####\"\"\"\n\(text)\n\"\"\"####" }
}
