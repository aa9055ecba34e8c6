import KassaDomain
import Synchronization

extension KassaService {
  /// Asks the attempt's provider, and applies what it reports. An answer that takes longer than `settings.providerAnswerSeconds` counts
  /// as not known; when it comes after all, it is applied then.
  func ask(
    _ payment: Payment, _ call: @escaping @Sendable (any PaymentProvider, Charge) async -> ProviderReport
  ) async throws -> CollectionView {
    guard let provider = try await provider(of: payment) else {
      let report = ProviderReport(.unknown("the provider is not configured"))
      return try await apply(report, to: payment.id, of: payment.merchantID)
    }
    let charge = try await charge(of: payment)
    let report = await bounded {
      ProviderReport(.unknown("no answer within \($0) seconds"))
    } late: { report in
      await applyLate(report, to: payment)
    } _: {
      await call(provider, charge)
    }
    return try await apply(report, to: payment.id, of: payment.merchantID)
  }

  /// Applies what a provider tells without being asked, or later than it was waited for. A failing store loses nothing:
  /// the reconciler asks again.
  package func applyLate(_ report: ProviderReport, to payment: Payment) async {
    _ = try? await apply(report, to: payment.id, of: payment.merchantID)
  }

  /// What `call` answers, or what `otherwise` makes of the seconds waited once they are more than
  /// `settings.providerAnswerSeconds`, or than `milliseconds`: a provider that hangs holds up nobody for longer. `late`
  /// gets what comes after all.
  func bounded<Answer: Sendable>(
    milliseconds: Int64? = nil, otherwise: (_ seconds: Int64) -> Answer,
    late: @escaping @Sendable (Answer) async -> Void = { _ in },
    _ call: @escaping @Sendable () async -> Answer
  ) async -> Answer {
    let first = FirstAnswer<Answer>()
    let seconds = settings.providerAnswerSeconds
    let silence = otherwise(seconds)
    var timer: Task<Void, Never>?
    let answer = await withCheckedContinuation { continuation in
      first.wait(continuation)
      Task {
        let answer = await call()
        if !first.give(answer) { await late(answer) }
      }
      timer = Task {
        guard (try? await Task.sleep(for: .milliseconds(milliseconds ?? seconds * 1000))) != nil else { return }
        _ = first.give(silence)
      }
    }
    timer?.cancel()
    return answer
  }
}

/// Resumes its waiter with the first of several answers.
private final class FirstAnswer<Answer: Sendable>: Sendable {
  private let waiter = Mutex<CheckedContinuation<Answer, Never>?>(nil)

  func wait(_ continuation: CheckedContinuation<Answer, Never>) {
    waiter.withLock { $0 = continuation }
  }

  /// Returns whether it was the first.
  func give(_ answer: Answer) -> Bool {
    let waiting = waiter.withLock { waiter in
      defer { waiter = nil }
      return waiter
    }
    waiting?.resume(returning: answer)
    return waiting != nil
  }
}
