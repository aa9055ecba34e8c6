import KassaDomain
import KassaStore

/// An answer as bytes: what is stored and given again.
package struct RenderedAnswer: Equatable, Sendable {
  package let status: Int
  package let body: [UInt8]

  package init(status: Int, body: [UInt8]) {
    self.status = status
    self.body = body
  }
}

/// What a caller's `Idempotency-Key` asks for. `render` makes the answer that is stored beside the effect.
package struct IdempotentRequest<Output: Sendable>: Sendable {
  let operation: String
  let key: String
  let bodyHash: [UInt8]
  let render: @Sendable (Output) -> RenderedAnswer

  package init(
    operation: String, key: String, bodyHash: [UInt8], render: @escaping @Sendable (Output) -> RenderedAnswer
  ) {
    self.operation = operation
    self.key = key
    self.bodyHash = bodyHash
    self.render = render
  }
}

/// A use case's answer: made now, or found as it was made the first time.
package enum Answered<Output: Sendable>: Sendable {
  case fresh(Output)
  case replayed(RenderedAnswer)
}

extension KassaService {
  /// Runs `body` in one transaction, once per idempotency key of the merchant: the record and the effect are one commit.
  /// What throws is not recorded. Throws `ServiceFailure.idempotencyKeyReused` when the key came with another body, and
  /// `ServiceFailure.idempotencyInProgress` while another server is at work under the key.
  func writeOnce<Output: Sendable>(
    _ request: IdempotentRequest<Output>?, for merchant: MerchantID, at now: Timestamp,
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Output
  ) async throws -> Answered<Output> {
    guard let request else { return .fresh(try await store.write(body)) }
    let scope = IdempotencyScope(merchantID: merchant, operation: request.operation, key: request.key)
    let owner = merchant.bytes + Array(request.operation.utf8) + Array(request.key.utf8)
    let secrets = self.secrets
    let run: @Sendable (any WriteTransaction) throws -> Answered<Output> = { transaction in
      if let record = try transaction.idempotency.find(scope, at: now) {
        guard record.bodyHash == request.bodyHash else { throw ServiceFailure.idempotencyKeyReused }
        let body = try secrets.opened(record.sealedBody, .idempotentBody, owner: owner)
        return .replayed(RenderedAnswer(status: record.status, body: body))
      }
      let output = try body(transaction)
      let answer = request.render(output)
      let record = IdempotencyRecord(
        bodyHash: request.bodyHash, status: answer.status,
        sealedBody: try secrets.sealed(answer.body, .idempotentBody, owner: owner),
        expiresAt: now.adding(seconds: Limits.idempotencyDays * 86_400))
      try transaction.idempotency.insert(record, for: scope, at: now)
      return .fresh(output)
    }
    do {
      return try await store.write(run)
    } catch StoreError.conflict(.idempotencyKey) {
      throw ServiceFailure.idempotencyInProgress
    }
  }

  /// The same for what takes effect elsewhere than in the commit of the record: runs `perform`, and then keeps its answer. A
  /// repetition that comes before that is run too, so `perform` must bear it. What throws is not recorded.
  package func answerOnce(
    _ request: IdempotentRequest<RenderedAnswer>?, for merchant: MerchantID,
    _ perform: () async throws -> RenderedAnswer
  ) async throws -> Answered<RenderedAnswer> {
    guard let request else { return .fresh(try await perform()) }
    struct IsNew: Error {}
    do {
      return try await writeOnce(request, for: merchant, at: now) { _ in throw IsNew() }
    } catch is IsNew {
      let answer = try await perform()
      return try await writeOnce(request, for: merchant, at: now) { _ in answer }
    }
  }
}
