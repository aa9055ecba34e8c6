import KassaJSON

/// A seeded generator (SplitMix64), so that every run makes the same inputs.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ bound: Int) -> Int {
    Int.random(in: 0..<bound, using: &self)
  }

  mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[below(choices.count)]
  }

  // MARK: Trees

  mutating func tree(depthMax: Int) -> JSONValue {
    switch below(depthMax > 0 ? 9 : 6) {
    case 0: return pick([.null, .bool(true), .bool(false)])
    case 1: return .integer(Int64(below(2001) - 1000))
    case 2: return .integer(pick([Int64(truncatingIfNeeded: next()), .max, .min, 0]))
    case 3: return .number(numberText())
    case 4, 5: return .string(string())
    case 6, 7:
      var members: [JSONObject.Member] = []
      for _ in 0..<below(14) {
        let name = string()
        if !members.contains(where: { bytesEqual($0.name, name) }) {
          members.append(.init(name: name, value: tree(depthMax: depthMax - 1)))
        }
      }
      return .object(JSONObject(members: members))
    default:
      return .array((0..<below(6)).map { _ in tree(depthMax: depthMax - 1) })
    }
  }

  mutating func string() -> String {
    var scalars = String.UnicodeScalarView()
    for _ in 0..<below(pick([2, 6, 24])) {
      scalars.append(scalar())
    }
    return String(scalars)
  }

  private mutating func scalar() -> Unicode.Scalar {
    let special: [Unicode.Scalar] = [
      "\"", "\\", "/", "\n", "\u{1}", "\u{1F}", "\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}",
      "\u{FFFF}", "\u{10000}", "\u{10FFFF}", "\u{2028}", "\u{FEFF}", "\u{301}", "K", "\u{212A}", "e", "\u{E9}",
    ]
    switch below(4) {
    case 0: return pick(special)
    case 1: return Unicode.Scalar(UInt32(below(0x10FFFF) + 1)) ?? "?"
    default: return Unicode.Scalar(UInt8(0x20 + below(0x5F)))
    }
  }

  private mutating func numberText() -> String {
    let integer = pick(["0", "7", "-0", "-3", "120", "9223372036854775808", "-9223372036854775809"])
    let fraction = pick(["", ".0", ".5", ".000", ".1250"])
    let exponent = pick(["", "e0", "E+2", "e-7", "E10", "e400"])
    return fraction.isEmpty && exponent.isEmpty ? "-0" : integer + fraction + exponent
  }

  // MARK: Bytes

  /// Changes one to four places of the document; the result may be anything.
  mutating func mutate(_ document: [UInt8]) -> [UInt8] {
    let fragments: [[UInt8]] = [
      Array("[".utf8), Array("]".utf8), Array("{".utf8), Array("}".utf8), Array(",".utf8), Array(":".utf8),
      Array("\"".utf8), Array("\\".utf8), Array("\\u".utf8), Array("\\ud83d".utf8), Array("\\ude00".utf8),
      Array("0".utf8), Array("-".utf8), Array("1.5e3".utf8), Array("null".utf8), Array(" ".utf8), [0x00], [0x1F],
      [0x80], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xE2, 0x82, 0xAC], [0xF4, 0x90], [0xEF, 0xBB, 0xBF], [0xFF],
    ]
    var bytes = document
    for _ in 0..<below(4) + 1 {
      let place = below(bytes.count + 1)
      let end = min(bytes.count, place + below(5))
      switch below(6) {
      case 0: bytes.replaceSubrange(place..<end, with: [])
      case 1: bytes.insert(UInt8(truncatingIfNeeded: next()), at: place)
      case 2: bytes.insert(contentsOf: bytes[place..<end], at: below(bytes.count + 1))
      case 3 where place < bytes.count: bytes[place] ^= 1 << UInt8(below(8))
      case 4 where below(8) == 0: bytes.removeSubrange(place...)
      default: bytes.insert(contentsOf: pick(fragments), at: place)
      }
    }
    return bytes
  }
}

/// The value of the text, or the error.
func outcome(_ bytes: [UInt8], nestingMax: Int = 32) -> Result<JSONValue, JSONSyntaxError> {
  Result { () throws(JSONSyntaxError) in try JSONParser.parse(bytes, nestingMax: nestingMax) }
}

func outcome(_ text: String) -> Result<JSONValue, JSONSyntaxError> {
  outcome(Array(text.utf8))
}

func refusal(_ reason: JSONSyntaxError.Reason, _ offsetBytes: Int) -> Result<JSONValue, JSONSyntaxError> {
  .failure(JSONSyntaxError(reason, offsetBytes: offsetBytes))
}

func object(_ members: (String, JSONValue)...) -> JSONValue {
  .object(JSONObject(members: members.map { .init(name: $0.0, value: $0.1) }))
}

func duplicate(_ key: String) -> JSONSyntaxError.Reason {
  .duplicateKey(JSONKeyExcerpt(of: key))
}

/// The tree written as JSON.
func written(_ value: JSONValue) -> [UInt8] {
  var writer = JSONWriter()
  writer.value(value)
  return writer.bytes
}
