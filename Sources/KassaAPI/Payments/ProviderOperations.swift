import HTTPTypes
import KassaDomain
import KassaService

/// What has no credential of Kassa's: providers that notify, and pictures of codes.
enum ProviderOperations {
  static let all: [Operation] = [
    .open(
      "notifyOfMethod", .post, "/providers/v1/{method}/{merchant_id}",
      body: .raw(bytesMax: APILimits.notificationBodyBytesMax)
    ) { call in
      try await hear(call, about: nil)
    },
    .open(
      "notifyOfPayment", .post, "/providers/v1/{method}/{merchant_id}/{payment_id}",
      body: .raw(bytesMax: APILimits.notificationBodyBytesMax)
    ) { call in
      let payment: PaymentID = try call.call.pathID("payment_id")
      return try await hear(call, about: payment)
    },
    .open("getCodePNG", .get, "/pos/v1/qr/{name}/code.png") { call in
      Answer(status: 200, contentType: "image/png", body: try await image(call).png)
    },
    .open("getCodeSVG", .get, "/pos/v1/qr/{name}/code.svg") { call in
      .text(try await image(call).svg, type: "image/svg+xml")
    },
  ]

  private static func hear(_ call: OpenCall, about payment: PaymentID?) async throws -> Answer {
    try call.call.api.notificationLimiter.take(call.call.source, nowNanoseconds: monotonicNanoseconds())
    let merchant: MerchantID = try call.call.pathID("merchant_id")
    guard let name = call.call.pathParameters["method"],
      let method = PaymentMethod.allCases.first(where: { $0.rawValue.lowercased().utf8.elementsEqual(name.utf8) })
    else { throw ServiceFailure.notFound }
    let request = call.call.request
    // A request's authority is the header `Host`, which providers sign.
    let host = request.head.authority.map { [(name: "host", value: $0)] } ?? []
    let notification = ProviderNotification(
      method: request.method.rawValue, target: request.uri.string,
      headers: host + request.headers.map { (name: $0.name.canonicalName, value: $0.value) },
      body: try await call.rawBody(), receivedAt: call.service.now)
    try await call.service.hear(notification, for: method, of: merchant, about: payment)
    return Answer(status: 200, contentType: nil, body: [])
  }

  private static func image(_ call: OpenCall) async throws -> QRImage {
    let code = try await call.service.code(named: String(call.call.pathParameters["name"] ?? ""))
    guard let image = QRImage(code.text) else { throw ServiceFailure.notFound }
    return image
  }
}
