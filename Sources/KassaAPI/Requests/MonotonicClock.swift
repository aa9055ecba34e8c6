/// Nanoseconds of a clock that never goes back.
func monotonicNanoseconds() -> Int64 {
  let parts = startOfProcess.duration(to: .now).components
  return parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
}

private let startOfProcess = ContinuousClock.now
