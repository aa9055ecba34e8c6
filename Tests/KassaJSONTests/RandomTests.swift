import KassaJSON
import Testing

struct RandomTests {
  @Test func randomTreesComeBack() {
    var generator = SeededGenerator(seed: 2026)
    for round in 0..<5000 {
      let tree = generator.tree(depthMax: round % 7)
      let text = written(tree)
      if outcome(text) != .success(tree) {
        Issue.record("round \(round): \(String(decoding: text, as: UTF8.self))")
      }
    }
  }

  @Test func mutatedDocumentsNeverTrap() {
    var generator = SeededGenerator(seed: 77)
    var documents = acceptedTable.map { Array($0.text.utf8) } + refusedTable.map(\.bytes)
    for _ in 0..<200 {
      documents.append(written(generator.tree(depthMax: 3)))
    }
    documents.removeAll { $0.count > 600 }

    var acceptedCount = 0
    for round in 0..<200_000 {
      let document = generator.mutate(generator.pick(documents))
      switch outcome(document) {
      case .success(let tree):
        acceptedCount += 1
        if outcome(written(tree)) != .success(tree) {
          Issue.record("round \(round) does not come back: \(document)")
        }
      case .failure(let error):
        if !(0...document.count).contains(error.offsetBytes) {
          Issue.record("round \(round) has an offset outside of the text: \(document)")
        }
        if error.message.isEmpty {
          Issue.record("round \(round) has no message")
        }
      }
    }
    #expect((10_000...190_000).contains(acceptedCount))
  }

  @Test func randomBytesNeverTrap() {
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<50_000 {
      let document = (0..<generator.below(12)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      if case .success(let tree) = outcome(document), outcome(written(tree)) != .success(tree) {
        Issue.record("does not come back: \(document)")
      }
    }
  }
}
