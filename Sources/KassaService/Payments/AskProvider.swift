import KassaDomain
import Synchronization

extension KassaService {
  /// Asks a provider, and applies its answer. An answer that takes longer than `settings.providerAnswerSeconds` counts
  /// as not known; when it comes after all, it is applied then.
  func ask(
    _ payment: Payment, _ call: @escaping @Sendable (any PaymentProvider, Charge) async -> ProviderAnswer
  ) async throws -> CollectionView {
    guard let provider = providers[payment.method] else {
      return try await apply(.unknown("the provider is not configured"), to: payment.id, of: payment.merchantID)
    }
    let charge = Charge(payment)
    let first = FirstAnswer()
    let seconds = settings.providerAnswerSeconds
    let answer = await withCheckedContinuation { continuation in
      first.wait(continuation)
      Task {
        let answer = await call(provider, charge)
        if !first.give(answer) { await applyLate(answer, to: payment) }
      }
      Task {
        try? await Task.sleep(for: .seconds(seconds))
        _ = first.give(.unknown("no answer within \(seconds) seconds"))
      }
    }
    return try await apply(answer, to: payment.id, of: payment.merchantID)
  }

  /// Applies what a provider tells without being asked, or later than it was waited for. A failing store loses nothing:
  /// the reconciler asks again.
  package func applyLate(_ answer: ProviderAnswer, to payment: Payment) async {
    _ = try? await apply(answer, to: payment.id, of: payment.merchantID)
  }
}

/// Resumes its waiter with the first of several answers.
private final class FirstAnswer: Sendable {
  private let waiter = Mutex<CheckedContinuation<ProviderAnswer, Never>?>(nil)

  func wait(_ continuation: CheckedContinuation<ProviderAnswer, Never>) {
    waiter.withLock { $0 = continuation }
  }

  /// Returns whether it was the first.
  func give(_ answer: ProviderAnswer) -> Bool {
    let waiting = waiter.withLock { waiter in
      defer { waiter = nil }
      return waiter
    }
    waiting?.resume(returning: answer)
    return waiting != nil
  }
}
