import KassaDomain
import KassaService
import Logging
import ServiceLifecycle
import Synchronization

/// Watches what the worker does, for the metrics.
package protocol CallbackObserver: Sendable {
  func callbackTried(_ outcome: CallbackOutcome)
}

/// How a worker paces itself.
package struct CallbackPace: Sendable {
  package var triesMax: Int
  package var pollMilliseconds: Int64
  package var lookGapMilliseconds: Int64
  /// From claiming a try to its end; a try that cannot begin early enough within it is given back.
  package var leaseMilliseconds: Int64
  package var tryMilliseconds: Int64

  package init(
    triesMax: Int = Limits.callbackTriesMax, pollMilliseconds: Int64 = Limits.callbackPollMilliseconds,
    lookGapMilliseconds: Int64 = Limits.callbackLookGapMilliseconds,
    leaseMilliseconds: Int64 = Limits.callbackLeaseSeconds * 1000,
    tryMilliseconds: Int64 = Limits.callbackTrySeconds * 1000
  ) {
    self.triesMax = triesMax
    self.pollMilliseconds = pollMilliseconds
    self.lookGapMilliseconds = lookGapMilliseconds
    self.leaseMilliseconds = leaseMilliseconds
    self.tryMilliseconds = tryMilliseconds
  }
}

/// Sends callbacks: claims what is due, tries it, and reports what came of it (contract, section 8).
///
/// Any number of workers may run, in one process or in many: what each has is leased. Looks when something was committed,
/// when a try has ended, and now and then anyway.
package struct CallbackWorker: Service {
  private let source: any CallbackSource
  private let sender: CallbackSender
  private let commits: CommitSignal
  private let observer: any CallbackObserver
  private let pace: CallbackPace
  private let clock: @Sendable () -> Timestamp
  private let logger: Logger

  package init(
    source: any CallbackSource, sender: CallbackSender, commits: CommitSignal, observer: any CallbackObserver,
    pace: CallbackPace = CallbackPace(), clock: @escaping @Sendable () -> Timestamp, logger: Logger
  ) {
    self.source = source
    self.sender = sender
    self.commits = commits
    self.observer = observer
    self.pace = pace
    self.clock = clock
    self.logger = logger
  }

  /// Runs until graceful shutdown, then claims nothing more and returns when the tries under way have ended, which takes
  /// no longer than one try. When cancelled, it gives back what it has at once.
  package func run() async throws {
    let (hints, caller) = commits.listen()
    await withGracefulShutdownHandler {
      await withDiscardingTaskGroup { group in
        group.addTask { await poll(caller) }
        let underWay = Counter()
        for await _ in hints where !Task.isShuttingDownGracefully {
          for claimed in await claim(limit: pace.triesMax - underWay.value) {
            underWay.add(1)
            group.addTask {
              await make(claimed)
              underWay.add(-1)
              caller.yield()
            }
          }
          try? await Task.sleep(for: .milliseconds(pace.lookGapMilliseconds))
        }
      }
    } onGracefulShutdown: {
      caller.finish()
    }
    await sender.shutdown()
  }

  private func poll(_ caller: AsyncStream<Void>.Continuation) async {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        caller.yield()
        try? await Task.sleep(for: .milliseconds(pace.pollMilliseconds))
      }
    }
  }

  /// A try and when it was claimed.
  private struct Claimed: Sendable {
    let callback: CallbackTry
    let at: ContinuousClock.Instant
  }

  private func claim(limit: Int) async -> [Claimed] {
    guard limit > 0 else { return [] }
    let start = ContinuousClock.now
    do {
      return try await source.claim(limit: limit).map { Claimed(callback: $0, at: start) }
    } catch {
      logger.warning("callbacks could not be claimed; trying again", metadata: ["error": "\(error)"])
      return []
    }
  }

  private func make(_ claimed: Claimed) async {
    let callback = claimed.callback
    do {
      // The process may have slept meanwhile, and the chain may be somebody else's when the try ends.
      guard claimed.at.duration(to: .now) <= .milliseconds(pace.leaseMilliseconds - pace.tryMilliseconds) else {
        return try await source.release(callback)
      }
      let (at, start) = (clock(), ContinuousClock.now)
      let answer: CallbackSender.Answer
      do {
        answer = try await sender.send(callback, at: at)
      } catch {
        return try await source.release(callback)
      }
      let duration = start.duration(to: .now).components
      let attempt = CallbackAttempt(
        at: at, durationMilliseconds: duration.seconds * 1000 + duration.attoseconds / 1_000_000_000_000_000,
        result: answer.result, responseExcerpt: answer.excerpt)
      let outcome = try await source.finish(callback, attempt, retryAfterSeconds: answer.retryAfterSeconds)
      observer.callbackTried(outcome)
    } catch {
      logger.warning(
        "the result of a callback could not be saved; it is tried again",
        metadata: ["error": "\(error)", "delivery": "\(callback.delivery.id)"])
    }
  }
}

/// Tries under way.
private final class Counter: Sendable {
  private let count = Atomic<Int>(0)

  var value: Int { count.load(ordering: .relaxed) }
  func add(_ change: Int) { count.add(change, ordering: .relaxed) }
}
