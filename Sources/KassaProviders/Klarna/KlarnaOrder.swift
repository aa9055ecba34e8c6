import KassaDomain
import KassaJSON
import KassaService

/// The money of an order at Klarna.
struct KlarnaOrder: Sendable {
  /// What any sum is below, so that they can be added: Klarna's own limit is far smaller.
  private static let sumMax: Int64 = 1 << 48

  /// As it was placed.
  let amount: Int64
  let currency: String
  let captured: Int64
  let refunded: Int64
  /// Reserved, and neither captured nor freed.
  let reserved: Int64
  private let captures: [Entry]
  private let refunds: [Entry]

  /// One capture or refund.
  private struct Entry: Sendable {
    let amount: Int64
    /// `nil` when it has no name of ours: somebody made it elsewhere, or an earlier version of Kassa did.
    let movement: SubjectID?
  }

  init?(_ object: JSONObject) {
    guard let captured = object.integer("captured_amount"), let refunded = object.integer("refunded_amount"),
      let reserved = object.integer("remaining_authorized_amount"), let status = object.text("status"),
      let amount = object.integer("original_order_amount") ?? object.integer("order_amount"),
      let currency = object.text("purchase_currency"),
      let captures = Self.entries(of: object, "captures", "captured_amount"),
      let refunds = Self.entries(of: object, "refunds", "refunded_amount"),
      [captured, refunded, reserved, amount].allSatisfy((0...Self.sumMax).contains)
    else { return nil }
    self.amount = amount
    self.currency = currency
    self.captured = captured
    self.refunded = refunded
    // An order that is over reserves nothing, whatever the sum still says.
    self.reserved = ["CANCELLED", "EXPIRED", "CLOSED"].contains(status) ? 0 : reserved
    self.captures = captures
    self.refunds = refunds
  }

  /// `nil` when one of them is not understood.
  private static func entries(of object: JSONObject, _ list: String, _ amount: String) -> [Entry]? {
    var entries: [Entry] = []
    for entry in object.objects(list) {
      guard let amount = entry.integer(amount), (0...sumMax).contains(amount) else { return nil }
      entries.append(
        Entry(amount: amount, movement: entry.text("reference").flatMap(KlarnaReference.movement)))
    }
    return entries
  }

  /// Captured, and not given back.
  var taken: Int64 { max(0, captured - refunded) }

  /// How something that is to move stands in the order.
  enum Standing: Sendable {
    case done
    case absent
    /// The order does not tell; the words are for the operator.
    case unclear(String)
  }

  /// A capture is done when its name is there. It is also done when so much was captured without Kassa (in Klarna's
  /// portal, by agreement, by an earlier version) and no other capture of Kassa's stands for that: otherwise the customer
  /// would pay it twice.
  func standing(ofCapture movement: MoneyMovement) -> Standing {
    if captures.contains(where: { $0.movement == movement.id }) { return .done }
    let named = Set(captures.compactMap(\.movement))
    let withoutName = captured - captures.reduce(0) { $0 + ($1.movement == nil ? 0 : $1.amount) }
    let stoodFor = movement.othersDone.reduce(0) { $0 + (named.contains($1.key) ? 0 : $1.value) }
    return movement.amount <= withoutName - stoodFor ? .done : .absent
  }

  /// A refund is done when its name is there. What was given back without Kassa is another's. But where the refund may
  /// have been asked for without its name, and its key may be forgotten, one of just this amount may be it.
  func standing(ofRefund movement: MoneyMovement, mayLackName: Bool) -> Standing {
    if refunds.contains(where: { $0.movement == movement.id }) { return .done }
    guard mayLackName else { return .absent }
    let unlisted = refunded - refunds.reduce(0) { $0 + $1.amount }
    guard refunds.contains(where: { $0.movement == nil && $0.amount == movement.amount }) || unlisted >= movement.amount
    else { return .absent }
    return .unclear("a refund of this amount at Klarna has no name of ours, and may be this one: see Klarna's portal")
  }
}

/// How Kassa's captures and refunds are known again in Klarna's order, also when Klarna has forgotten their keys: the
/// merchant's reference ends with the movement's name. Klarna tells it in settlements, and not to customers.
enum KlarnaReference {
  private static let mark = "kassa:"
  /// In UTF-16, of which no count of characters is larger.
  private static let charactersMax = 255

  static func text(of movement: MoneyMovement) -> String {
    let name = "\(mark)\(movement.id)"
    guard let reference = movement.reference, !reference.isEmpty else { return name }
    var room = charactersMax - name.utf16.count - 1
    let kept = reference.unicodeScalars.prefix { scalar in
      room -= UTF16.width(scalar)
      return room >= 0
    }
    return "\(String(kept)) \(name)"
  }

  /// Which movement a reference names; `nil` for one that is not Kassa's.
  static func movement(in reference: String) -> SubjectID? {
    // By scalars: some characters take a space that follows into themselves.
    let words = reference.unicodeScalars.split(separator: " ")
    guard let last = words.last, last.starts(with: mark.unicodeScalars) else { return nil }
    return SubjectID(text: String(last.dropFirst(mark.unicodeScalars.count)))
  }
}
