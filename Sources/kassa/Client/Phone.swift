import Foundation
import KassaJSON
import KassaServer

/// A paired phone: what it may do, over the API of the POS app.
struct Phone: Sendable {
  let client: KassaClient
  let deviceID: String

  private static let sessions = "/pos/v1/sessions"

  /// Registers with a typed code, or with the token of a deep link.
  static func pair(url: String, code: String?, link: String?, name: String) async throws -> (
    phone: Phone, token: String
  ) {
    let registrationID = UUID().uuidString.lowercased()
    let body = json { object in
      if let link {
        object.member("enrollment_token", link.split(separator: "#").last.map(String.init) ?? link)
      } else {
        object.member("enrollment_code", code ?? "")
      }
      object.member("hardware_id", "terminal-\(registrationID)")
      object.member("platform", "TERMINAL")
      object.member("name", name)
      object.member("registration_id", registrationID)
    }
    let device = try await KassaClient(url: url, authorization: nil).send("POST", "/pos/v1/devices", body)
    guard let id = device.text("id"), let token = device.object("credentials")?.text("bearer_token") else {
      throw SettingsError("\(url) answered without a device: is this a Kassa server?")
    }
    return (Phone(url: url, deviceID: id, token: token), token)
  }

  init(url: String, deviceID: String, token: String) {
    client = KassaClient(url: url, authorization: "Bearer \(token)")
    self.deviceID = deviceID
  }

  func ownDevice() async throws -> JSONObject { try await client.send("GET", "/pos/v1/device") }

  /// The line of open sessions, oldest first.
  func line() async throws -> [JSONObject] { try await client.send("GET", Self.sessions).objects("content") }

  /// One session; the backend sees that it was fetched, and shown.
  func show(_ id: String) async throws -> JSONObject {
    let session = try await client.send("GET", "\(Self.sessions)/\(id)")
    try await client.send("POST", "\(Self.sessions)/\(id)/shown")
    return session
  }

  /// Chooses the card and taps one with this outcome (playground).
  func tap(_ id: String, outcome: String) async throws -> JSONObject {
    try await client.send("POST", "/pos/v1/dev/sessions/\(id)/simulate-tap?outcome=\(outcome)")
  }

  func cancel(_ id: String) async throws -> JSONObject {
    try await client.send("POST", "\(Self.sessions)/\(id)/cancel")
  }

  /// Follows the device's events for ever, taking up where it lost them. `changed` is called for each, and after each
  /// new connection. Returns when the device was removed.
  func follow(_ changed: @Sendable (_ isConnected: Bool) async -> Void) async throws {
    var lastEventID: String?
    while !Task.isCancelled {
      do {
        try await client.follow("/pos/v1/events", lastEventID: lastEventID) { event in
          lastEventID = event.id ?? lastEventID
          if event.name == "device.revoked" { throw Revoked() }
          await changed(true)
        }
      } catch is Revoked {
        throw SettingsError("this device was removed by its merchant; pair it again with a new code")
      } catch let refused as KassaClient.Refused where refused.status == 401 {
        throw SettingsError("this device is not paired any more; pair it again with a new code")
      } catch {
        await changed(false)
      }
      try await Task.sleep(for: .seconds(1))
    }
  }

  private struct Revoked: Error {}
}
