import KassaDomain
import KassaEmulators
import KassaProviders
import Synchronization
import Testing

/// What is known of a call in the end, whatever happens to it on the way.
@Suite(.serialized) struct ProviderHTTPTests {
  /// Counts what arrives, and answers what it was told to.
  private final class Counter: ProviderEmulator {
    let world = EmulatorWorld()
    private let answer: EmulatorResponse
    private let arrived = Atomic(0)

    init(_ answer: EmulatorResponse = EmulatorResponse(status: 200)) { self.answer = answer }

    var count: Int { arrived.load(ordering: .relaxed) }
    var routes: [EmulatorRoute] {
      ["GET", "POST"].map { method in
        EmulatorRoute("CALL", method, "/call") { _ in
          self.arrived.add(1, ordering: .relaxed)
          return self.answer
        }
      }
    }
    func payments() -> [EmulatedPayment] { [] }
    func buyer(_ action: BuyerAction, _ payment: String) -> String? { nil }
    func settings(url: String) -> [(name: String, value: String)] { [] }
  }

  private static let limits = CallLimits(
    budgetMilliseconds: 2000, tryMilliseconds: 400, triesMax: 3, pauseMilliseconds: 5, answerBytesMax: 1000)

  private func send(
    _ counter: Counter, _ faults: [EmulatorFault] = [], isRepeatable: Bool = true, limits: CallLimits = limits
  ) async throws -> ProviderResponse {
    let server = try await EmulatorServer.start(counter)
    let http = ProviderHTTPClient(limits: limits) { counter.world.clock.now }
    for fault in faults { counter.world.faults.plan(fault, for: "CALL") }
    let call = ProviderCall(.post, "/call", body: .json(Array("{}".utf8)), isRepeatable: isRepeatable)
    let response = await http.send(call, to: ProviderAddress(server.url), within: http.budget())
    await http.shutdown()
    await server.stop()
    return response
  }

  @Test func nobodyListens() async throws {
    let server = try await EmulatorServer.start(Counter())
    await server.stop()
    let http = ProviderHTTPClient(limits: Self.limits) { Timestamp(millisecondsSinceEpoch: 0) }
    for body in [ProviderCall.Body.empty, .json(Array("{}".utf8))] {
      let call = ProviderCall(.post, "/call", body: body)
      let response = await http.send(call, to: ProviderAddress(server.url), within: http.budget())
      guard case .neverLeft = response else {
        Issue.record("a call to a closed port is \(response)")
        continue
      }
    }
    await http.shutdown()
  }

  @Test func aLostAnswerIsAskedForAgain() async throws {
    let counter = Counter()
    guard case .answered(let answer) = try await send(counter, [.answerLost]) else {
      Issue.record("no answer")
      return
    }
    #expect(answer.status == 200 && answer.isOfRepetition)
    #expect(counter.count == 2)
  }

  @Test func whatMayNotBeRepeatedIsNot() async throws {
    let counter = Counter()
    guard case .noAnswer = try await send(counter, [.answerLost], isRepeatable: false) else {
      Issue.record("a lost answer is not known")
      return
    }
    #expect(counter.count == 1)
  }

  /// Once an answer was lost, no later failure to connect makes it certain that nothing happened.
  @Test func neverAnsweredIsNotKnown() async throws {
    let counter = Counter()
    let start = ContinuousClock.now
    guard case .noAnswer(let words) = try await send(counter, [.never, .never, .never]) else {
      Issue.record("silence is not known")
      return
    }
    #expect(start.duration(to: .now) < .seconds(10))
    #expect(!words.contains("http"))
    #expect(counter.count == 0)
  }

  @Test func aBrokenServerIsAskedAgainWithinTheTries() async throws {
    let counter = Counter(EmulatorResponse(status: 503))
    guard case .answered(let answer) = try await send(counter) else {
      Issue.record("no answer")
      return
    }
    #expect(answer.status == 503 && answer.isOfRepetition)
    #expect(counter.count == 3)
  }

  /// Who is told to wait for longer than the budget does not wait, and does not ask again.
  @Test func retryAfterBeyondTheBudgetEndsIt() async throws {
    let counter = Counter(EmulatorResponse(status: 429, headers: [("retry-after", "30")]))
    guard case .answered(let answer) = try await send(counter) else {
      Issue.record("no answer")
      return
    }
    #expect(answer.status == 429 && !answer.isOfRepetition)
    #expect(counter.count == 1)
  }

  @Test func retryAfterWithinTheBudgetIsKept() async throws {
    let counter = Counter(EmulatorResponse(status: 423, headers: [("retry-after", "1")]))
    let start = ContinuousClock.now
    var limits = Self.limits
    limits.triesMax = 2
    _ = try await send(counter, limits: limits)
    #expect(counter.count == 2)
    #expect(start.duration(to: .now) >= .seconds(1))
  }

  @Test func anAnswerWithoutEndIsNotRead() async throws {
    let counter = Counter(EmulatorResponse(status: 200, body: Array(repeating: 0x20, count: 2000)))
    guard case .noAnswer = try await send(counter, isRepeatable: false) else {
      Issue.record("an answer that is too large was read")
      return
    }
  }

  @Test func theBudgetIsForAllCallsTogether() async throws {
    let counter = Counter()
    let server = try await EmulatorServer.start(counter)
    let http = ProviderHTTPClient(limits: Self.limits) { counter.world.clock.now }
    let budget = CallBudget(milliseconds: 0)
    let response = await http.send(ProviderCall(.get, "/call"), to: ProviderAddress(server.url), within: budget)
    guard case .neverLeft = response else {
      Issue.record("a call was made without time for it")
      return
    }
    #expect(counter.count == 0)
    await http.shutdown()
    await server.stop()
  }

  @Test func formsAreEncoded() {
    let bytes = FormEncoding.encode([("a[b]", "x y&=å"), ("payment_method_types[]", "card_present")])
    #expect(
      String(decoding: bytes, as: UTF8.self) == "a[b]=x%20y%26%3D%C3%A5&payment_method_types[]=card_present")
  }

  @Test func secretsAreComparedWhole() {
    #expect(sameSecret("", "") && sameSecret("abc", "abc"))
    #expect(!sameSecret("abc", "abd") && !sameSecret("abc", "ab") && !sameSecret("", "a"))
    // Of two texts that Unicode takes for the same one.
    #expect(!sameSecret("K", "\u{212A}"))
  }
}
