/// What is to be paid: the content of a payment request (contract, section 6). Amounts are whole minor units, tax
/// included.
package struct Cart: Equatable, Sendable {
  package static let amountMax: Int64 = 1_000_000_000_000
  package static let linesMax = 1000
  package static let taxRateMax: Int64 = 1_000_000

  package let orderAmount: Int64
  package let currency: Currency
  package let lines: [Line]
  package let orderTaxAmount: Int64?

  package struct Line: Equatable, Sendable {
    package let type: Kind?
    package let reference: String?
    package let name: String
    package let quantity: Int64
    package let unitPrice: Int64
    package let totalAmount: Int64
    package let totalDiscountAmount: Int64
    /// Basis points: 2500 is 25 %.
    package let taxRate: Int64
    package let totalTaxAmount: Int64

    package init(
      type: Kind?, reference: String?, name: String, quantity: Int64, unitPrice: Int64, totalAmount: Int64,
      totalDiscountAmount: Int64, taxRate: Int64, totalTaxAmount: Int64
    ) {
      self.type = type
      self.reference = reference
      self.name = name
      self.quantity = quantity
      self.unitPrice = unitPrice
      self.totalAmount = totalAmount
      self.totalDiscountAmount = totalDiscountAmount
      self.taxRate = taxRate
      self.totalTaxAmount = totalTaxAmount
    }
  }

  /// The numbers of a line, as far as they are known.
  package struct Figures: Equatable, Sendable {
    /// `nil`: not known, and then nothing is said of what is negative.
    package var isDiscount: Bool?
    package var quantity: Int64?
    package var unitPrice: Int64?
    package var totalAmount: Int64?
    package var totalDiscountAmount: Int64?
    package var taxRate: Int64?
    package var totalTaxAmount: Int64?

    /// Nothing is known.
    package init() {}
  }

  package enum Kind: String, CaseIterable, Sendable {
    case physical, discount, digital, surcharge
    case shippingFee = "shipping_fee"
  }

  /// A figure that does not add up: where, as a path of the request, and what it must be.
  package struct Flaw: Equatable, Sendable {
    package let path: String
    package let message: String
  }

  package struct Flaws: Error, Equatable, Sendable {
    package let all: [Flaw]
  }

  /// What a store saved, as it was.
  package init(restoring orderAmount: Int64, currency: Currency, lines: [Line], orderTaxAmount: Int64?) {
    self.orderAmount = orderAmount
    self.currency = currency
    self.lines = lines
    self.orderTaxAmount = orderTaxAmount
  }

  /// Checks all arithmetic, and names every flaw. Nothing here can overflow unnoticed.
  package static func make(
    orderAmount: Int64, currency: Currency, lines: [Line], orderTaxAmount: Int64?
  ) -> Result<Cart, Flaws> {
    let flaws = Self.flaws(orderAmount: orderAmount, lines: lines.map(\.figures), orderTaxAmount: orderTaxAmount)
    guard flaws.isEmpty else { return .failure(Flaws(all: flaws)) }
    return .success(
      Cart(restoring: orderAmount, currency: currency, lines: lines, orderTaxAmount: orderTaxAmount))
  }

  /// Every figure that does not add up, also of a request that cannot become a cart for another reason: nothing is said
  /// of what hangs on a figure that is `nil`, because it was left out or could not be read.
  package static func flaws(orderAmount: Int64?, lines: [Figures], orderTaxAmount: Int64?) -> [Flaw] {
    var flaws: [Flaw] = []
    for (index, line) in lines.enumerated() {
      flaws += line.flaws.map { Flaw(path: "order_items[\(index)].\($0.path)", message: $0.message) }
    }
    if let amounts = all(lines.map(\.totalAmount)) {
      let total = sum(amounts)
      if total == nil {
        flaws.append(Flaw(path: "order_items", message: "must have total_amounts whose sum is a 64-bit number"))
      } else if let total, let orderAmount, total != orderAmount {
        flaws.append(
          Flaw(path: "order_amount", message: "must be the sum of the order_items' total_amount, which is \(total)"))
      }
    }
    if let orderTaxAmount, let amounts = all(lines.map(\.totalTaxAmount)) {
      let total = sum(amounts)
      if total != orderTaxAmount {
        let which = total.map { ", which is \($0)" } ?? ""
        flaws.append(
          Flaw(
            path: "order_tax_amount", message: "must be the sum of the order_items' total_tax_amount\(which)"))
      }
    }
    return flaws
  }

  /// The tax of the whole: as given, or the sum of the lines'; `nil` if that is not a 64-bit number.
  package var taxTotal: Int64? { orderTaxAmount ?? Self.sum(lines.map(\.totalTaxAmount)) }

  private static func all(_ amounts: [Int64?]) -> [Int64]? {
    let known = amounts.compactMap { $0 }
    return known.count == amounts.count ? known : nil
  }

  private static func sum(_ amounts: [Int64]) -> Int64? {
    var sum: Int64 = 0
    for amount in amounts {
      let (next, overflow) = sum.addingReportingOverflow(amount)
      if overflow { return nil }
      sum = next
    }
    return sum
  }
}

extension Cart.Line {
  fileprivate var figures: Cart.Figures {
    var figures = Cart.Figures()
    figures.isDiscount = type == .discount
    figures.quantity = quantity
    figures.unitPrice = unitPrice
    figures.totalAmount = totalAmount
    figures.totalDiscountAmount = totalDiscountAmount
    figures.taxRate = taxRate
    figures.totalTaxAmount = totalTaxAmount
    return figures
  }
}

extension Cart.Figures {
  /// `unit_price × quantity − total_discount_amount = total_amount`; the tax within one minor unit of
  /// `total × rate / (10000 + rate)`; only a discount may be negative.
  fileprivate var flaws: [Cart.Flaw] { amountFlaws + taxFlaws }

  private var amountFlaws: [Cart.Flaw] {
    var flaws: [Cart.Flaw] = []
    if let unitPrice, let quantity, let totalDiscountAmount {
      let (gross, grossOverflow) = unitPrice.multipliedReportingOverflow(by: quantity)
      let (net, netOverflow) = gross.subtractingReportingOverflow(totalDiscountAmount)
      if grossOverflow || netOverflow {
        flaws.append(Cart.Flaw(path: "unit_price", message: "times quantity must be a 64-bit number"))
      } else if let totalAmount, net != totalAmount {
        flaws.append(
          Cart.Flaw(
            path: "total_amount",
            message: "must be unit_price × quantity − total_discount_amount, which is \(net)"))
      }
    }
    if isDiscount == false {
      if let unitPrice, unitPrice < 0 { flaws.append(Cart.Flaw(path: "unit_price", message: "must not be negative")) }
      if let totalAmount, totalAmount < 0 {
        flaws.append(Cart.Flaw(path: "total_amount", message: "must not be negative"))
      }
    }
    return flaws
  }

  private var taxFlaws: [Cart.Flaw] {
    guard let taxRate else { return [] }
    guard (0...Cart.taxRateMax).contains(taxRate) else {
      return [Cart.Flaw(path: "tax_rate", message: "must be 0 to \(Cart.taxRateMax) basis points")]
    }
    guard let totalAmount, let totalTaxAmount else { return [] }
    // |tax − total × rate / (10000 + rate)| ≤ 1, multiplied by (10000 + rate) > 0 to stay in whole numbers; of 128 bits,
    // so that nothing overflows.
    let divisor = 10_000 + Int128(taxRate)
    let scaledTotal = Int128(totalAmount) * Int128(taxRate)
    guard (Int128(totalTaxAmount) * divisor - scaledTotal).magnitude > divisor.magnitude else { return [] }
    return [
      Cart.Flaw(
        path: "total_tax_amount",
        message: "must be within 1 of total_amount × tax_rate / (10000 + tax_rate), which is about "
          + "\(scaledTotal / divisor)")
    ]
  }
}
