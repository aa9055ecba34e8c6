import Foundation
import KassaDomain
import Testing

/// Every order there can be of a small amount, with every command: the rules of its money, and the page that shows them.
@Suite struct OrderStateTests {
  private static func order(_ amount: Int64, _ money: Order.Money = Order.Money(), sequence: Int64 = 1) throws -> Order
  {
    let session = try Make.session()
    return Order(
      restoring: try Make.id(21), merchantID: session.merchantID, sessionID: session.id, locationID: nil,
      paymentID: try Make.id(22), method: .card, amount: amount, currency: try Make.sek(), merchantReference1: nil,
      createdAt: Make.epoch, money: money, version: 1, sequence: sequence)
  }

  private static func commands(upTo amount: Int64) -> [Order.Command] {
    OrderMovement.Kind.allCases.flatMap { kind in
      (0...amount).flatMap { [Order.Command.ask(kind, $0), .done(kind, $0), .refused(kind, $0)] }
    } + (0...amount).map { .refundCameBack($0) }
  }

  /// Whatever is asked for and answered in whatever order: no more is captured than was authorized, no more refunded than
  /// was captured, and what is reserved is neither forgotten nor spent twice.
  @Test func noOrderOfCommandsMovesMoreThanThereIs() throws {
    let amount: Int64 = 4
    var seen: Set<String> = []
    var waiting = [try Self.order(amount)]
    var steps = 0
    while let order = waiting.popLast() {
      guard seen.insert("\(order.money)").inserted else { continue }
      let money = order.money
      for sum in [money.captured, money.capturing, money.refunded, money.refunding] { #expect(sum >= 0) }
      #expect(money.captured + money.capturing <= amount && money.refunded + money.refunding <= money.captured)
      #expect(money.release == .none || money.captured + money.capturing == 0)
      for command in Self.commands(upTo: amount + 1) {
        var next = Self.restored(order)
        do throws(Refusal) {
          let event = try next.apply(command)
          steps += 1
          #expect(next.version == order.version + 1)
          #expect(next.sequence == order.sequence + (event == nil ? 0 : 1))
          #expect(event == nil || event?.sequence == next.sequence)
          let moved = next.money.captured - money.captured + next.money.refunded - money.refunded
          if case .done(let kind, let part) = command { #expect(moved == (kind == .release ? 0 : part)) }
          if case .ask = command { #expect(moved == 0 && event == nil) }
          if case .refused = command { #expect(moved == 0) }
          if case .refundCameBack(let part) = command {
            #expect(part > 0 && moved == -part && event?.type == .refundFailed)
          }
          waiting.append(next)
        } catch {
          #expect(next == order, "a refused command changed the order: \(error)")
        }
      }
    }
    print("orders of \(amount): \(seen.count) states, \(steps) steps")
    // Captured c with k reserved, refunded r with f reserved: c+k ≤ 4 and r+f ≤ c; and two of a release.
    #expect(seen.count == Self.count(amount) + 2)
  }

  private static func count(_ amount: Int64) -> Int {
    (0...amount).reduce(0) { sum, captured in
      sum + Int(amount - captured + 1) * Int((captured + 1) * (captured + 2) / 2)
    }
  }

  private static func restored(_ order: Order) -> Order {
    Order(
      restoring: order.id, merchantID: order.merchantID, sessionID: order.sessionID, locationID: order.locationID,
      paymentID: order.paymentID, method: order.method, amount: order.amount, currency: order.currency,
      merchantReference1: order.merchantReference1, createdAt: order.createdAt, money: order.money,
      version: order.version, sequence: order.sequence)
  }

  @Test func hugeAmountsDoNotOverflow() throws {
    for amount in [Int64.max, .min, -1, 0, Cart.amountMax + 1] {
      for kind in [OrderMovement.Kind.capture, .refund] {
        var order = try Self.order(Cart.amountMax, Order.Money(captured: kind == .refund ? Cart.amountMax : 0))
        #expect(throws: Refusal.self) { try order.apply(.ask(kind, amount)) }
        #expect(throws: Refusal.self) { try order.apply(.done(kind, amount)) }
      }
    }
  }

  @Test func aMovementIsSettledOnce() throws {
    var movement = OrderMovement(
      id: try Make.id(31), merchantID: try Make.id(2), orderID: try Make.id(21), kind: .refund, amount: 7,
      reference: nil, description: nil, createdAt: Make.epoch, checkAt: Make.epoch)
    #expect(movement.settle(.requested) == nil)
    #expect(movement.settle(.done(at: Make.epoch)) == .done(.refund, 7))
    #expect(movement.checkAt == nil)
    let settled = movement
    for outcome in [OrderMovement.State.requested, .done(at: Make.waitingEnd), .refused("no", at: Make.epoch)] {
      #expect(movement.settle(outcome) == nil && movement == settled)
    }
  }

  /// A refund that is done may come back, but only while it is in doubt; nothing else that is settled may.
  @Test func onlyADoubtedRefundComesBack() throws {
    func movement(_ kind: OrderMovement.Kind, _ state: OrderMovement.State) throws -> OrderMovement {
      OrderMovement(
        id: try Make.id(31), merchantID: try Make.id(2), orderID: try Make.id(21), kind: kind, amount: 7,
        reference: nil, description: nil, createdAt: Make.epoch, state: state, checkAt: nil)
    }
    let (done, refused) = (
      OrderMovement.State.done(at: Make.epoch), OrderMovement.State.refused("came back", at: Make.waitingEnd)
    )
    var refund = try movement(.refund, done)
    let isDoubted = refund.doubt(at: Make.epoch)
    #expect(isDoubted && refund.checkAt == Make.epoch)
    #expect(refund.settle(.requested) == nil && refund.checkAt == Make.epoch)
    var confirmed = refund
    #expect(confirmed.settle(.done(at: Make.waitingEnd)) == nil && confirmed.state == done && confirmed.checkAt == nil)
    #expect(confirmed.settle(refused) == nil && confirmed.state == done)
    #expect(refund.settle(refused) == .refundCameBack(7) && refund.state == refused && refund.checkAt == nil)
    #expect(refund.settle(done) == nil && refund.state == refused)
    for (kind, state) in [
      (OrderMovement.Kind.capture, done), (.release, done), (.refund, refused), (.refund, .requested),
    ] {
      var other = try movement(kind, state)
      let before = other
      let isDoubted = other.doubt(at: Make.epoch)
      #expect(!isDoubted && other == before)
    }
  }

  // MARK: The page

  /// `docs/reference/orders.md` is made from the domain itself; `KASSA_UPDATE_GOLDEN=1` rewrites it.
  @Test func theReferenceIsThatOfTheDomain() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("docs/reference/orders.md")
    let document = try document()
    if ProcessInfo.processInfo.environment["KASSA_UPDATE_GOLDEN"] == "1" {
      try Data(document.utf8).write(to: file)
    }
    let documented = String(decoding: try Data(contentsOf: file), as: UTF8.self)
    #expect(document == documented, "run with KASSA_UPDATE_GOLDEN=1, and read the difference")
  }

  private func document() throws -> String {
    let states: [(String, Order.Money)] = [
      ("nothing captured", Order.Money()),
      ("40 being captured", Order.Money(capturing: 40)),
      ("40 captured", Order.Money(captured: 40)),
      ("all captured", Order.Money(captured: 100)),
      ("all captured, 30 being refunded", Order.Money(captured: 100, refunding: 30)),
      ("all captured, 30 refunded", Order.Money(captured: 100, refunded: 30)),
      ("all refunded", Order.Money(captured: 100, refunded: 100)),
      ("being cancelled", Order.Money(release: .requested)),
      ("cancelled", Order.Money(release: .done)),
    ]
    let commands: [(String, Order.Command)] = [
      ("ask to capture 30", .ask(.capture, 30)), ("ask to capture 100", .ask(.capture, 100)),
      ("30 captured", .done(.capture, 30)), ("capture of 30 refused", .refused(.capture, 30)),
      ("ask to refund 30", .ask(.refund, 30)), ("ask to refund 100", .ask(.refund, 100)),
      ("30 refunded", .done(.refund, 30)), ("refund of 30 refused", .refused(.refund, 30)),
      ("refund of 30 came back", .refundCameBack(30)),
      ("ask to cancel", .ask(.release, 0)), ("cancelled", .done(.release, 0)),
      ("cancelling refused", .refused(.release, 0)),
    ]
    var lines = [
      "# Orders: what every command does to the money", "",
      "Made from the code by a test; `make golden` writes it anew. What the words mean: [Orders](../orders.md).", "",
      "The order is of 100. *capturing*, *refunding*: reserved, because the provider was asked and has not decided. A",
      "command that is refused changes nothing.", "",
    ]
    for (name, money) in states {
      let order = try Self.order(100, money)
      lines += ["## \(name): \(order.status.rawValue)", "", "| command | becomes | event |", "| --- | --- | --- |"]
      for (what, command) in commands {
        var next = order
        do throws(Refusal) {
          let event = try next.apply(command)
          lines.append("| \(what) | \(Self.words(next)) | \(event.map { "`\($0.type.rawValue)`" } ?? "") |")
        } catch {
          lines.append("| \(what) | refused: \(error) | |")
        }
      }
      lines.append("")
    }
    return lines.joined(separator: "\n")
  }

  private static func words(_ order: Order) -> String {
    let money = order.money
    let parts = [
      ("captured", money.captured), ("capturing", money.capturing), ("refunded", money.refunded),
      ("refunding", money.refunding),
    ].filter { $0.1 > 0 }.map { "\($0.0) \($0.1)" }
    let release = money.release == .requested ? ["cancelling"] : []
    return ([order.status.rawValue] + parts + release).joined(separator: ", ")
  }
}
