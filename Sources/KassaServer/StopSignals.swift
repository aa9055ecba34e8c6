import KassaAPI
import Logging
import ServiceLifecycle
import UnixSignals

/// Waits to be told to stop, and returns once the server may: after the time that whoever stands in front needs to notice.
/// A second signal ends that wait.
struct StopSignals: Service {
  private let signals: UnixSignalsSequence
  private let draining: Draining
  private let delaySeconds: Int64
  private let logger: Logger

  /// From here on SIGTERM and SIGINT no longer end the process by themselves.
  init(_ draining: Draining, delaySeconds: Int64, logger: Logger) async {
    signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    self.draining = draining
    self.delaySeconds = delaySeconds
    self.logger = logger
  }

  func run() async {
    let (told, tell) = AsyncStream.makeStream(of: Void.self)
    await withTaskGroup { group in
      group.addTask { await untilSecondSignal(tell) }
      group.addTask {
        for await _ in told { return await pause() }
      }
      await group.next()
      group.cancelAll()
    }
  }

  /// Says so at the first signal, and returns at the second. Only one task may wait for signals.
  private func untilSecondSignal(_ tell: AsyncStream<Void>.Continuation) async {
    for await _ in signals {
      if draining.hasBegun { return }
      draining.begin()
      tell.yield()
    }
  }

  private func pause() async {
    guard delaySeconds > 0 else { return }
    logger.notice("told to stop; still taking requests", metadata: ["seconds": "\(delaySeconds)"])
    try? await Task.sleep(for: .seconds(delaySeconds))
  }
}
