import GRDB
import KassaDomain
import KassaStore
import StoreConformance
import Testing

@testable import KassaSQLite

/// Databases of before: what they hold is still there, and is what later versions need it to be.
struct UpgradeTests {
  @Test func whatWasPaidBeforeThereWereOrdersCanBeRefunded() async throws {
    try await withTemporaryFolder { folder in
      let (path, maker) = (folder.newDatabasePath(), Maker())
      let merchant: MerchantID = maker.id()
      let (paid, open): (SessionID, SessionID) = (maker.id(), maker.id())
      let (paidBy, waiting): (PaymentID, PaymentID) = (maker.id(), maker.id())
      let order: OrderID = maker.id()
      let now = Maker.epoch.millisecondsSinceEpoch
      let old = try DatabaseQueue(path: path)
      try Migrations.migrator.migrate(old, upTo: "0003-callbacks")
      try await old.write { database in
        let connection = SQLiteConnection(database: database)
        let content =
          #"{"lines":[{"name":"T","quantity":1,"unit_price":700,"total_amount":700,"total_discount_amount":0,"#
          + #""tax_rate":0,"total_tax_amount":0}]}"#
        for (session, payment, status) in [(paid, paidBy, "FINALIZED"), (open, waiting, "ACTIVE")] {
          try connection.run(
            """
            INSERT INTO sessions (merchant_id, id, device_id, order_amount, currency, content, merchant_reference1,
            created_at, expires_at, status, payment_id, phase, order_id, version, sequence, failed_attempts)
            VALUES (?, ?, ?, 700, 'SEK', ?, 'R', ?, ?, ?, ?, ?, ?, 3, 3, 0)
            """,
            .id(merchant), .id(session), .id(maker.id(Device.self)), .text(content), .integer(now),
            .integer(now + 900_000), .text(status), .id(payment), .text(status == "ACTIVE" ? "awaiting" : nil),
            .id(status == "FINALIZED" ? order : nil))
          try connection.run(
            """
            INSERT INTO payments (merchant_id, id, session_id, method, amount, currency, created_at, state, check_at,
            checks) VALUES (?, ?, ?, 'CARD', 700, 'SEK', ?, ?, ?, 0)
            """,
            .id(merchant), .id(payment), .id(session), .integer(now),
            .text(status == "FINALIZED" ? "SUCCEEDED" : "PENDING"),
            status == "FINALIZED" ? .null : .integer(now + 180_000))
          try connection.run(
            "INSERT INTO simulated_charges (payment_id, amount, state, tapped) VALUES (?, 700, ?, ?)", .id(payment),
            .text(status == "FINALIZED" ? "CHARGED" : "PRIMED"), .text(status == "FINALIZED" ? "SUCCESS" : nil))
        }
      }
      try old.close()

      let store = try SQLiteStore(path: path)
      try await store.read { transaction in
        let found = try #require(try transaction.orders.find(order, of: merchant))
        #expect(found.status == .captured && found.refundable == 700 && found.sessionID == paid)
        #expect(found.paymentID == paidBy && found.method == .card && found.merchantReference1 == "R")
        let captures = try transaction.orders.movements(of: order, merchant: merchant)
        #expect(captures.map(\.amount) == [700] && captures.map(\.state) == [.done(at: Maker.epoch)])
        for filter in [OrderFilter(), OrderFilter(sessionID: paid, status: .captured, merchantReference1: "R")] {
          let page = try transaction.orders.page(of: merchant, filter, PageRequest(number: 0, size: 5))
          #expect(page.content == [found] && page.totalElements == 1)
        }
        #expect(try transaction.simulatedCards.find(paidBy)?.captured == 700)
        #expect(try transaction.simulatedCards.netCharged() == 700)
        // An attempt that waits for a card waits on, and shows what it showed.
        let payment = try #require(try transaction.payments.find(waiting, of: merchant))
        #expect(payment.provider == .simulated && payment.nextAction == .tap(clientSecret: nil))
        #expect(payment.waitsUntil == Maker.epoch.adding(seconds: 180) && payment.references == [:])
      }
      await store.close()
    }
  }
}
