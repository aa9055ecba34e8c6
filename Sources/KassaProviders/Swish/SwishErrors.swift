import KassaDomain

/// What one of Swish's codes says of a payment or a refund, whether it came at once or in what is read later.
enum SwishErrors {
  enum Meaning: Equatable {
    /// No money moved, and none will. Certain.
    case refused(PaymentFailureReason)
    /// Whether money moved is not known, and must not be guessed.
    case unknown
    /// This identifier was used before: what is asked for exists, and is to be read.
    case exists
    /// It is not in a state that can be cancelled: it is to be read.
    case cannotCancel
  }

  /// Codes that are documented. Any other one leaves it open.
  static func meaning(of code: String) -> Meaning {
    switch code {
    case "DS24": .unknown
    case "RP09": .exists
    case "RP07": .cannotCancel
    // The buyer, or the buyer's bank.
    case "BANKIDCL": .refused(.cancelled)
    case "TM01": .refused(.timedOut)
    case "RF07", "AM02", "VR01", "VR02", "ACMT01", "ACMT03", "BE18": .refused(.declinedGeneric)
    case "FF10", "BANKIDONGOING", "BANKIDUNKN": .refused(.processingError)
    // The request itself, or the merchant's agreement with the bank.
    case "FF08", "RP01", "RP02", "RP03", "RP04", "RP05", "RP06", "PA01", "PA02", "AM03", "AM06", "ACMT07", "RF02",
      "RF03",
      "RF04", "RF06", "RF08":
      .refused(.notStarted)
    default: .unknown
    }
  }

  /// The code in words for the merchant.
  static func words(for code: String) -> String {
    switch code {
    case "ACMT01": "the counterpart's Swish is not active (ACMT01)"
    case "ACMT03": "the buyer's number has no Swish (ACMT03)"
    case "ACMT07": "the merchant's Swish number is not enrolled (ACMT07)"
    case "AM02": "the amount is too large (AM02)"
    case "AM03": "the currency is not SEK (AM03)"
    case "AM06": "the amount is too small (AM06)"
    case "BANKIDCL": "the buyer cancelled in BankID (BANKIDCL)"
    case "BANKIDONGOING": "the buyer has BankID open for something else (BANKIDONGOING)"
    case "BANKIDUNKN": "BankID failed (BANKIDUNKN)"
    case "BE18": "the buyer's number is not one (BE18)"
    case "DS24": "Swish does not know whether the money moved (DS24)"
    case "FF08": "a reference is not allowed (FF08)"
    case "FF10": "the bank could not process it (FF10)"
    case "PA01": "a parameter is wrong (PA01)"
    case "PA02": "the amount is missing or wrong (PA02)"
    case "RF02": "the original payment is not found or is too old (RF02)"
    case "RF03": "the original payment was made to another Swish number (RF03)"
    case "RF04": "the original payment was made by another organisation (RF04)"
    case "RF06": "the currency is not that of the original payment (RF06)"
    case "RF07": "the bank declined (RF07)"
    case "RF08": "more than what is left of the original payment (RF08)"
    case "RP01": "the merchant's Swish number is missing (RP01)"
    case "RP02": "the message is not allowed (RP02)"
    case "RP03": "the callback address is missing or not https (RP03)"
    case "RP06": "the buyer has another request open (RP06)"
    case "RP07": "it cannot be cancelled any more (RP07)"
    case "RP09": "the identifier was used before (RP09)"
    case "TM01": "nobody paid in time (TM01)"
    case "VR01", "VR02": "the buyer is not old enough (\(code))"
    default:
      code.utf8.count <= 20 && code.utf8.allSatisfy(\.isCodeCharacter) ? "Swish's code \(code)" : "an unknown code"
    }
  }
}

extension UInt8 {
  fileprivate var isCodeCharacter: Bool {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
  }
}
