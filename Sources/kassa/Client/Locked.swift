import Synchronization

/// A text that several tasks share.
final class LockedText: Sendable {
  private let text = Mutex("")

  var value: String {
    get { text.withLock { $0 } }
    set { text.withLock { $0 = newValue } }
  }
}

/// A list that one task fills and another waits on.
final class Mailbox<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])

  func put(_ element: Element) { elements.withLock { $0.append(element) } }

  /// Takes the first element that `isWanted`, waiting for it up to `seconds`. `nil` when none came.
  func take(withinSeconds seconds: Double, where isWanted: @Sendable (Element) -> Bool) async throws -> Element? {
    let end = ContinuousClock.now.advanced(by: .seconds(seconds))
    while ContinuousClock.now < end {
      let found = elements.withLock { elements in
        elements.firstIndex(where: isWanted).map { elements.remove(at: $0) }
      }
      if let found { return found }
      try await Task.sleep(for: .milliseconds(2))
    }
    return nil
  }
}
