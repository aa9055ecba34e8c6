import Foundation
import PackagePlugin

/// Compiles files that lie beside a target's sources into it, so that the program stays one file.
///
/// Embeds every `.yaml` file of the target's folder: `openapi.yaml` becomes `EmbeddedFiles.openapi_yaml`, a `StaticString`.
/// Embeds everything below a folder `site`: `EmbeddedFiles.site` lists these files with their paths.
/// The package manager's own `.embedInCode` writes an array literal of bytes, which takes the compiler half a minute.
@main
struct EmbedFiles: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    guard let folder = (target as? SwiftSourceModuleTarget)?.directoryURL else { return [] }
    let documents = try FileManager.default
      .contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "yaml" }
    let site = folder.appending(path: "site")
    let paths = (try? FileManager.default.subpathsOfDirectory(atPath: site.path)) ?? []
    let pages = paths.map { site.appending(path: $0) }.filter(isFile)
    let files = (documents + pages).sorted { $0.path < $1.path }
    let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedFiles.swift")
    return [
      .buildCommand(
        displayName: "Embedding \(files.count) files",
        executable: try context.tool(named: "embed-files").url,
        arguments: [output.path, site.path] + files.map(\.path),
        inputFiles: files, outputFiles: [output])
    ]
  }

  private func isFile(_ file: URL) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: file.path, isDirectory: &isFolder) && !isFolder.boolValue
  }
}
