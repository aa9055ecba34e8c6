import Foundation
import KassaService

/// The server's secret key: from `KASSA_SECRET_KEY`, or from a file beside the database that only its owner can read.
package enum SecretKey {
  package static func fromSettings(_ source: SettingsSource) throws -> [UInt8]? {
    try source.value(.secretKey, default: nil, allowed: "32 bytes in base64") { text in
      guard let data = Data(base64Encoded: text), data.count == ServerSecrets.keyBytes else { return nil }
      return Array(data)
    }
  }

  /// The file that belongs to a database.
  package static func path(ofDatabaseAt path: String) -> String { path + ".key" }

  /// Where an operator finds the key of a database.
  package static func place(of database: DatabaseAddress) -> String {
    switch database {
    case .sqlite(let path): "restore \(self.path(ofDatabaseAt: path)), or set \(SettingName.secretKey.variable)"
    case .postgres: "set \(SettingName.secretKey.variable)"
    }
  }

  /// Reads the key file. Makes it, with a fresh random key, when both it and the database are missing: a new key for an
  /// old database could open nothing in it.
  package static func load(for database: DatabaseAddress) throws -> [UInt8] {
    guard case .sqlite(let databasePath) = database else {
      throw SettingsError(
        "\(SettingName.secretKey.variable) must be set, to the same on every server of \(database): 32 bytes in base64, "
          + "as openssl rand -base64 32 makes them once")
    }
    let path = path(ofDatabaseAt: databasePath)
    let files = FileManager.default
    if !files.fileExists(atPath: path) {
      guard !files.fileExists(atPath: databasePath) else {
        throw SettingsError(
          "\(path) is missing: restore it from a backup, or set \(SettingName.secretKey.variable); without its key the "
            + "database's codes and tokens cannot be read")
      }
      var generator = SystemRandomNumberGenerator()
      try make(at: path, (0..<ServerSecrets.keyBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
    return try read(path)
  }

  /// The key of a database that is there: never makes one.
  package static func ofExisting(_ database: DatabaseAddress) throws -> [UInt8] {
    if case .sqlite(let path) = database, !FileManager.default.fileExists(atPath: path) {
      throw SettingsError("there is no database at \(path)")
    }
    return try load(for: database)
  }

  /// Keeps the key in the file beside a database that has such a file. Throws when another key is there.
  package static func keep(_ key: [UInt8], beside database: DatabaseAddress) throws {
    guard case .sqlite(let databasePath) = database else { return }
    let path = path(ofDatabaseAt: databasePath)
    if !FileManager.default.fileExists(atPath: path) { try make(at: path, key) }
    guard try read(path) == key else { throw SettingsError("\(path) holds another key: move it away") }
  }

  private static func make(at path: String, _ key: [UInt8]) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      if errno == EEXIST { return }
      throw SettingsError("\(path) cannot be made: \(String(cString: strerror(errno)))")
    }
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    try handle.write(contentsOf: Data((Data(key).base64EncodedString() + "\n").utf8))
    try handle.synchronize()
  }

  private static func read(_ path: String) throws -> [UInt8] {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    if let permissions = attributes?[.posixPermissions] as? NSNumber, permissions.intValue & 0o077 != 0 {
      throw SettingsError("\(path) can be read by others than its owner: run chmod 600 \(path)")
    }
    guard FileManager.default.isReadableFile(atPath: path) else {
      throw SettingsError("\(path) cannot be read by the user that runs this program")
    }
    guard let text = try? String(contentsOfFile: path, encoding: .utf8),
      let data = Data(base64Encoded: text.trimmingCharacters(in: .whitespacesAndNewlines)),
      data.count == ServerSecrets.keyBytes
    else { throw SettingsError("\(path) does not hold a secret key: 32 bytes in base64") }
    return Array(data)
  }
}
