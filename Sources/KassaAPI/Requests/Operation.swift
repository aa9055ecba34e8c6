import HTTPTypes
import KassaService
import KassaStore

/// One operation of the API: the one place that names its method, path, credential and body, and what answers it.
/// The table of all of them routes requests and is held against `openapi.yaml`.
package struct Operation: Sendable {
  /// What a caller must prove.
  package enum Credential: String, Sendable {
    case none
    case apiKey = "api key"
    case device
  }

  /// Which body a request carries.
  package enum Body: Sendable, Equatable {
    /// None is read.
    case none
    /// JSON, up to this many bytes.
    case json(bytesMax: Int)
    /// Anything, up to this many bytes.
    case raw(bytesMax: Int)
  }

  /// The `operationId` of `openapi.yaml`.
  package let id: String
  package let method: HTTPRequest.Method
  /// The path with its parameters in braces.
  package let path: String
  package let credential: Credential
  let respond: @Sendable (Call) async throws -> Answer

  /// An operation without a credential.
  static func open(
    _ id: String, _ method: HTTPRequest.Method, _ path: String, body: Body = .none,
    _ respond: @escaping @Sendable (OpenCall) async throws -> Answer
  ) -> Operation {
    Operation(id: id, method: method, path: path, credential: .none) { call in
      try await respond(OpenCall(call: call, bodyRule: body))
    }
  }

  /// When a merchant's key is found to be in force.
  enum KeyCheckTime {
    /// By a transaction of its own, before anything else.
    case before
    /// By the operation's own transactions, if the key is known from before: a whole trip to the store less. For what is
    /// answered at once, from the store.
    case within
  }

  /// An operation of a merchant's backend.
  static func merchant(
    _ id: String, _ method: HTTPRequest.Method, _ path: String, body: Body = .none, key: KeyCheckTime = .before,
    _ respond: @escaping @Sendable (MerchantCall) async throws -> Answer
  ) -> Operation {
    Operation(id: id, method: method, path: path, credential: .apiKey) { call in
      guard key == .within, let check = MerchantAuthentication.recognized(call) else {
        let principal = try await MerchantAuthentication.authenticate(call)
        return try await respond(MerchantCall(call: call, bodyRule: body, principal: principal))
      }
      var checking = call
      checking.service = check.service
      let answer: Answer
      do {
        try MerchantAuthentication.admit(check.principal, call)
        answer = try await respond(MerchantCall(call: checking, bodyRule: body, principal: check.principal))
      } catch let error as StoreError {
        throw error
      } catch {
        // What was refused before the key was asked for: of one that is revoked nothing else is said than that.
        try await check.finish()
        throw error
      }
      try await check.finish()
      return answer
    }
  }

  /// An operation of a paired device.
  static func device(
    _ id: String, _ method: HTTPRequest.Method, _ path: String, body: Body = .none,
    _ respond: @escaping @Sendable (DeviceCall) async throws -> Answer
  ) -> Operation {
    Operation(id: id, method: method, path: path, credential: .device) { call in
      let principal = try await DeviceAuthentication.authenticate(call)
      return try await respond(DeviceCall(call: call, bodyRule: body, principal: principal))
    }
  }
}

extension Operation.Body {
  /// The usual body (contract, section 1, "Bodies").
  static var json: Operation.Body { .json(bytesMax: APILimits.bodyBytesMax) }
}
