import NIOSSL

/// Where a provider is reached, and with which certificate of ours, if it asks for one.
package struct ProviderAddress: Sendable {
  /// Like `https://api.example.com`, without a slash at the end.
  package let baseURL: String
  /// `nil` where the server is checked against the system's roots and nothing is shown to it.
  package let tls: TLSConfiguration?

  package init(_ baseURL: String, tls: TLSConfiguration? = nil) {
    self.baseURL = baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL
    self.tls = tls
  }
}

/// One call to a provider.
package struct ProviderCall: Sendable {
  package enum Method: String, Sendable {
    case get = "GET"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
  }

  package enum Body: Sendable {
    /// Bytes of this media type.
    case bytes([UInt8], type: String)
    /// `application/x-www-form-urlencoded`, in this order.
    case form([(name: String, value: String)])
    /// A body of no bytes.
    case empty

    package static func json(_ bytes: [UInt8]) -> Body { .bytes(bytes, type: "application/json") }
  }

  package let method: Method
  /// Below the base address; begins with `/` and is percent-encoded.
  package let path: String
  package var headers: [(name: String, value: String)]
  package let body: Body
  /// Whether it may be sent again when nothing is known of it: it names our own key, or changes nothing.
  package let isRepeatable: Bool
  /// Statuses upon which it is sent again, if it may be.
  package let passingStatuses: Set<Int>

  /// Statuses by which a server says that it is busy or broken for a moment.
  package static let usualPassingStatuses: Set<Int> = [408, 423, 425, 429, 500, 502, 503, 504]

  package init(
    _ method: Method, _ path: String, headers: [(name: String, value: String)] = [], body: Body = .empty,
    isRepeatable: Bool = true, passingStatuses: Set<Int> = usualPassingStatuses
  ) {
    self.method = method
    self.path = path
    self.headers = headers
    self.body = body
    self.isRepeatable = isRepeatable
    self.passingStatuses = passingStatuses
  }
}

/// What is known of a call after its last try: no more and no less.
package enum ProviderResponse: Sendable {
  case answered(ProviderHTTPAnswer)
  /// No try of it left this machine whole: it certainly has no effect. The words are for the operator.
  case neverLeft(String)
  /// It may have had its effect. The words are for the operator.
  case noAnswer(String)
}

/// An answer with its status, which may be one of refusal.
package struct ProviderHTTPAnswer: Sendable {
  package let status: Int
  /// Names in lower case, in their order.
  package let headers: [(name: String, value: String)]
  package let body: [UInt8]
  /// An earlier try of this call was left without an answer, or broke on the other side: it may be that one which had
  /// the effect, and this answer may only say that it was had.
  package let isOfRepetition: Bool

  package init(status: Int, headers: [(name: String, value: String)], body: [UInt8], isOfRepetition: Bool) {
    self.status = status
    self.headers = headers
    self.body = body
    self.isOfRepetition = isOfRepetition
  }

  package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  package var isSuccess: Bool { (200..<300).contains(status) }
}
