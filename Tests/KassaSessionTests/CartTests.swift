import KassaDomain
import Testing

/// The arithmetic of a payment request (contract, section 6).
@Suite struct CartTests {
  private func paths(_ amount: Int64, _ lines: [Cart.Line], tax: Int64? = nil) throws -> [String] {
    switch Cart.make(orderAmount: amount, currency: try Make.sek(), lines: lines, orderTaxAmount: tax) {
    case .success: return []
    case .failure(let flaws):
      for flaw in flaws.all { #expect(flaw.message.contains("must "), "\(flaw)") }
      return flaws.all.map(\.path)
    }
  }

  @Test func theVendorsSampleAddsUp() throws {
    let lines = [
      Make.line(reference: "SKU-001", quantity: 2, unitPrice: 100_000, taxRate: 2500, tax: 40_000),
      Make.line(reference: "SKU-002", name: "Socks", unitPrice: 40_000, taxRate: 2500, tax: 8_000),
    ]
    #expect(try paths(240_000, lines, tax: 48_000) == [])
    #expect(try paths(240_000, lines) == [])
    let cart = try Cart.make(orderAmount: 240_000, currency: Make.sek(), lines: lines, orderTaxAmount: nil).get()
    #expect(cart.taxTotal == 48_000 && cart.orderTaxAmount == nil)
  }

  @Test func everyFlawIsNamedByItsPathAtOnce() throws {
    let lines = [
      Make.line(unitPrice: 100, totalAmount: 99),
      Make.line(unitPrice: 100),
      Make.line(unitPrice: -5, totalAmount: -5),
      Make.line(unitPrice: 1000, taxRate: 2500, tax: 198),
      Make.line(unitPrice: 10, totalAmount: 10, discount: 1, taxRate: -1),
    ]
    #expect(
      try paths(1, lines, tax: 1) == [
        "order_items[0].total_amount", "order_items[2].unit_price", "order_items[2].total_amount",
        "order_items[3].total_tax_amount", "order_items[4].total_amount", "order_items[4].tax_rate", "order_amount",
        "order_tax_amount",
      ])
  }

  /// What was left out or could not be read hides nothing that can be said without it, and nothing is said of what hangs on
  /// it.
  @Test func whatIsNotKnownHidesNothingElse() {
    var right = Cart.Figures()
    right.isDiscount = false
    right.quantity = 2
    right.unitPrice = 500
    right.totalAmount = 1000
    right.totalDiscountAmount = 0
    right.taxRate = 2500
    right.totalTaxAmount = 200
    func paths(_ change: (inout Cart.Figures) -> Void = { _ in }, amount: Int64? = 2000, tax: Int64? = 400) -> [String]
    {
      var changed = right
      change(&changed)
      return Cart.flaws(orderAmount: amount, lines: [right, changed], orderTaxAmount: tax).map(\.path)
    }
    #expect(paths() == [])
    #expect(paths(amount: nil, tax: nil) == [])
    #expect(paths(amount: nil, tax: 1) == ["order_tax_amount"])
    #expect(paths(amount: 1, tax: nil) == ["order_amount"])
    #expect(paths({ $0 = Cart.Figures() }, amount: 1, tax: 1) == [])
    #expect(paths({ $0.totalAmount = nil }, amount: 1, tax: 1) == ["order_tax_amount"])
    #expect(paths({ $0.totalTaxAmount = nil }, amount: 1, tax: 1) == ["order_amount"])
    #expect(paths({ $0.totalTaxAmount = 100 }, tax: 300) == ["order_items[1].total_tax_amount"])
    func lowTax(_ line: inout Cart.Figures) {
      line.taxRate = nil
      line.totalTaxAmount = 100
    }
    #expect(paths(lowTax, tax: 300) == [])
    func lower(without unknown: WritableKeyPath<Cart.Figures, Int64?>? = nil) -> [String] {
      func change(_ line: inout Cart.Figures) {
        line.totalAmount = 900
        line.totalTaxAmount = 180
        if let unknown { line[keyPath: unknown] = nil }
      }
      return paths(change, amount: 1900, tax: 380)
    }
    #expect(lower() == ["order_items[1].total_amount"])
    for unknown in [\Cart.Figures.quantity, \.unitPrice, \.totalDiscountAmount] {
      #expect(lower(without: unknown) == [])
    }
    func negative(_ isDiscount: Bool?) -> [String] {
      func change(_ line: inout Cart.Figures) {
        line.isDiscount = isDiscount
        line.unitPrice = -500
        line.totalAmount = -1000
        line.totalTaxAmount = -200
      }
      return paths(change, amount: 0, tax: 0)
    }
    #expect(negative(false) == ["order_items[1].unit_price", "order_items[1].total_amount"])
    #expect(negative(true) == [] && negative(nil) == [])
  }

  @Test func onlyADiscountMayBeNegative() throws {
    for kind in Cart.Kind.allCases.map(Optional.some) + [nil] {
      let found = try paths(900, [Make.line(unitPrice: 1000), Make.line(type: kind, unitPrice: -100)])
      #expect(
        found == (kind == .discount ? [] : ["order_items[1].unit_price", "order_items[1].total_amount"]),
        "\(kind as Any)")
    }
    // With its tax, which is negative then.
    let discount = Make.line(type: .discount, unitPrice: -1000, taxRate: 2500, tax: -200)
    #expect(try paths(0, [Make.line(unitPrice: 1000, taxRate: 2500, tax: 200), discount], tax: 0) == [])
    // A discount of a line lowers its total.
    #expect(try paths(150, [Make.line(quantity: 2, unitPrice: 100, discount: 50)]) == [])
    #expect(
      try paths(-50, [Make.line(unitPrice: 100, discount: 150)]) == ["order_items[0].total_amount"])
  }

  private static let extremes: [Int64] = [.min, .min + 1, -1, 0, 1, .max - 1, .max]

  /// Nothing traps and nothing wraps, whatever the figures: an oracle in 128 bits says what is right.
  @Test func theExtremesAreCheckedExactly() throws {
    for unitPrice in Self.extremes {
      for quantity in Self.extremes {
        for discount in Self.extremes {
          for total in Self.extremes {
            let line = Make.line(
              type: .discount, quantity: quantity, unitPrice: unitPrice, totalAmount: total, discount: discount)
            let gross = Int128(unitPrice) * Int128(quantity)
            let isRight = Int64(exactly: gross) != nil && gross - Int128(discount) == Int128(total)
            #expect(try paths(total, [line]).isEmpty == isRight, "\(line)")
          }
        }
      }
    }
    for first in Self.extremes {
      for second in Self.extremes {
        for sum in Self.extremes {
          let lines = [first, second].map { Make.line(type: .discount, unitPrice: $0) }
          let isRight = Int128(first) + Int128(second) == Int128(sum)
          #expect(try paths(sum, lines).isEmpty == isRight, "\(first) + \(second) = \(sum)")
        }
      }
    }
    let two = [Make.line(unitPrice: .max), Make.line(unitPrice: 1)]
    #expect(try paths(.max, two) == ["order_items"])
  }

  /// The tax is within one minor unit: compared as exact fractions.
  @Test func theTaxIsWithinOneMinorUnit() throws {
    let totals: [Int64] = [0, 1, 2, 3, 99, 100, 12_345, 240_000, Cart.amountMax - 1, Cart.amountMax, .max / 3, .max]
    let rates: [Int64] = [0, 1, 600, 1200, 2500, 9_999, 10_000, Cart.taxRateMax]
    for total in totals {
      for rate in rates {
        let (divisor, exact) = (10_000 + Int128(rate), Int128(total) * Int128(rate))
        let about = Int64(exact / divisor)
        for tax in max(about, .min + 3) - 3...min(about, .max - 3) + 3 {
          let isRight = (Int128(tax) * divisor - exact).magnitude <= divisor.magnitude
          let line = Make.line(unitPrice: total, taxRate: rate, tax: tax)
          #expect(
            try paths(total, [line]) == (isRight ? [] : ["order_items[0].total_tax_amount"]),
            "\(total) at \(rate): \(tax)")
        }
      }
    }
    // Both edges, by hand: 25 % of 1001 contained is 200.2.
    for (tax, isRight) in [(199, false), (200, true), (201, true), (202, false)] as [(Int64, Bool)] {
      #expect(try paths(1001, [Make.line(unitPrice: 1001, taxRate: 2500, tax: tax)]).isEmpty == isRight, "\(tax)")
    }
  }

  @Test func aRateOutOfRangeIsAFlaw() throws {
    for rate in [.min, -10_000, -1, Cart.taxRateMax + 1, .max - 9_999, .max] as [Int64] {
      #expect(try paths(100, [Make.line(unitPrice: 100, taxRate: rate)]) == ["order_items[0].tax_rate"], "\(rate)")
    }
  }

  @Test func theOrdersTaxIsTheSumOfTheLines() throws {
    let lines = [
      Make.line(unitPrice: 1000, taxRate: 2500, tax: 200), Make.line(unitPrice: 1000, taxRate: 1200, tax: 107),
    ]
    #expect(try paths(2000, lines, tax: 307) == [])
    for wrong in [306, 308, 0, .min, .max] as [Int64] {
      #expect(try paths(2000, lines, tax: wrong) == ["order_tax_amount"], "\(wrong)")
    }
  }

  @Test func currenciesHaveTheirDecimals() throws {
    for (code, decimals) in [
      ("SEK", 2), ("NOK", 2), ("DKK", 2), ("EUR", 2), ("USD", 2), ("GBP", 2), ("CHF", 2), ("JPY", 0), ("ISK", 0),
      ("KRW", 0), ("CLP", 0), ("XAF", 0), ("KWD", 3), ("BHD", 3), ("TND", 3), ("IQD", 3),
    ] {
      let currency = try #require(Currency(code: code))
      #expect(currency.code == code && currency.decimals == decimals)
    }
    for wrong in [
      "", "sek", "Sek", "SE", "SEKK", "XXX", "XAU", "XTS", " SEK", "SEK ", "\u{212A}RW", "SEK\u{301}", "AAA",
    ] {
      #expect(Currency(code: wrong) == nil, "\(wrong)")
    }
  }
}
