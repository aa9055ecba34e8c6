import Foundation
import PackagePlugin

/// Compiles a target's text resources into it, so that the program stays one file.
///
/// Embeds every `.yaml` file of the target's folder: `openapi.yaml` becomes `EmbeddedFiles.openapi_yaml`, a `StaticString`.
/// The package manager's own `.embedInCode` writes an array literal of bytes, which takes the compiler half a minute.
@main
struct EmbedFiles: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    guard let folder = (target as? SwiftSourceModuleTarget)?.directoryURL else { return [] }
    let files = try FileManager.default
      .contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "yaml" }
      .sorted { $0.path < $1.path }
    let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedFiles.swift")
    return [
      .buildCommand(
        displayName: "Embedding \(files.map(\.lastPathComponent).joined(separator: ", "))",
        executable: try context.tool(named: "embed-files").url,
        arguments: [output.path] + files.map(\.path),
        inputFiles: files, outputFiles: [output])
    ]
  }
}
