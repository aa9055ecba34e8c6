import Foundation

/// Writes the text files named by the arguments into one Swift file: `embed-files OUTPUT.swift FILE…`.
@main
struct EmbedFiles {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst().map { URL(filePath: $0) }
    guard let output = arguments.first else { return }
    var source = "/// Files of this target, compiled in. Generated.\nenum EmbeddedFiles {\n"
    for file in arguments.dropFirst() {
      let name = file.lastPathComponent.replacing(".", with: "_")
      let text = try String(contentsOf: file, encoding: .utf8)
      source += "  static let \(name): StaticString = ####\"\"\"\n\(text)\n\"\"\"####\n"
    }
    try Data((source + "}\n").utf8).write(to: output)
  }
}
