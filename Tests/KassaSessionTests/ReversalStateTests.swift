import KassaDomain
import Testing

/// Tries to give late money back, by the rules alone.
@Suite struct ReversalStateTests {
  /// A session that ended, and an attempt whose money came after that.
  private func late() throws -> (session: Session, payment: Payment) {
    var session = try Make.session()
    let id: PaymentID = try Make.id(1)
    _ = try session.apply(.choose(payment: id))
    _ = try session.apply(.end(.cancelled))
    _ = try session.apply(.notPaid(payment: id, .cancelled))
    var payment = Make.payment(id, of: session, state: .cancelled)
    _ = try payment.hear(.paid(nil), in: &session, order: try Make.id(2))
    try #require(payment.state == .reversing && payment.reversalTry == 1)
    return (session, payment)
  }

  @Test func onlyARefusalOfTheCurrentTryBeginsTheNext() throws {
    var (_, payment) = try late()
    let isFirstRefused = payment.noteReversalRefused(1)
    #expect(isFirstRefused && payment.reversalTry == 2)
    let before = payment
    let isOldNoted = payment.noteReversalRefused(1)
    let isFutureNoted = payment.noteReversalRefused(3)
    #expect(!isOldNoted && !isFutureNoted && payment == before)
    let isSecondRefused = payment.noteReversalRefused(2)
    #expect(isSecondRefused && payment.reversalTry == 3)
  }

  /// The number is kept however much an adapter keeps beside it.
  @Test func theTryIsNeverLeftOut() throws {
    var (_, payment) = try late()
    let much = String(repeating: "x", count: ProviderReferences.bytesMax - 1)
    payment.keep(nil, ["a": much])
    let isNoted = payment.noteReversalRefused(1)
    #expect(isNoted && payment.reversalTry == 2 && payment.references["a"] == much)
  }

  @Test func whatCameBackIsGivenBackAnewAndToldOnce() throws {
    var (session, payment) = try late()
    let isDoubtedEarly = payment.doubtReversal(at: Make.epoch)
    #expect(!isDoubtedEarly)
    let told = payment.noteReversed(in: &session)
    #expect(told?.type == .paymentLate)
    #expect(payment.care(in: session, at: Make.epoch) == .reverse)
    let isDoubted = payment.doubtReversal(at: Make.epoch)
    #expect(isDoubted && payment.checkAt == Make.epoch && payment.state == .reversed)
    let version = session.version
    let isRefused = payment.noteReversalRefused(1)
    #expect(isRefused && payment.state == .reversing && payment.reversalTry == 2)
    let toldAgain = payment.noteReversed(in: &session)
    #expect(toldAgain == nil && payment.state == .reversed && session.version == version)
  }

  @Test(arguments: Payment.State.allCases.filter { $0 != .reversing && $0 != .reversed })
  func nothingElseHasTries(state: Payment.State) throws {
    var payment = Make.payment(try Make.id(1), of: try Make.session(), state: state)
    let before = payment
    let isNoted = payment.noteReversalRefused(1)
    let isDoubted = payment.doubtReversal(at: Make.epoch)
    #expect(!isNoted && !isDoubted && payment == before)
  }
}
