import HTTPTypes
import KassaJSON
import KassaService

extension MerchantCall {
  /// Answers with what `perform` gives, once for the caller's `Idempotency-Key` if there is one: for what takes effect
  /// elsewhere than in one commit of the store.
  func answerOnce(
    _ body: RequestBodyContent = .none, header: HTTPField.Name = .idempotencyKey, status: Int = 200,
    _ perform: () async throws -> [UInt8]
  ) async throws -> Answer {
    let asItIs: @Sendable (RenderedAnswer) -> RenderedAnswer = { $0 }
    let answered = try await service.answerOnce(
      try once(body, header: header, render: asItIs), for: principal.merchantID
    ) {
      RenderedAnswer(status: status, body: try await perform())
    }
    return .answered(answered, render: asItIs)
  }
}

extension RequestBodyContent {
  /// Of an operation that takes no body.
  static let none = RequestBodyContent(bytes: [], object: JSONObject())
}
