import Glibc
import Synchronization

/// Ends waits for sockets, once and for all: a pipe whose reading end a wait polls too.
///
/// Without descriptors to spare it never rings, and a wait ends in its own time.
final class Alarm: Sendable {
  private let reading: Int32
  private let writing: Mutex<Int32>

  init() {
    var ends: [Int32] = [-1, -1]
    if pipe(&ends) == 0 {
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    } else {
      ends = [-1, -1]
    }
    reading = ends[0]
    writing = Mutex(ends[1])
  }

  deinit {
    ring()
    if reading >= 0 { close(reading) }
  }

  /// What to poll; `poll` passes over one below zero.
  var descriptor: Int32 { reading }

  /// The end of the only writer is what the reading end notices.
  func ring() {
    writing.withLock { end in
      if end >= 0 { close(end) }
      end = -1
    }
  }
}
