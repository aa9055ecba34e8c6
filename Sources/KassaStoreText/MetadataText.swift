import KassaDomain
import KassaJSON
import KassaStore

/// Metadata as the JSON object that a column holds, so that an operator's `sqlite3` can read it too.
package enum MetadataText {
  package static func encoded(_ metadata: Metadata) -> String {
    if metadata.pairs.isEmpty { return "{}" }
    var writer = JSONWriter()
    writer.object { object in
      for pair in metadata.pairs { object.member(dynamicName: pair.key, pair.value) }
    }
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  package static func decoded(_ text: [UInt8]) throws -> Metadata {
    if text.count == 2 { return .empty }
    guard case .object(let object) = try JSONParser.parse(text) else { throw damaged }
    return Metadata(
      restoring: try object.members.map { member in
        guard case .string(let value) = member.value else { throw damaged }
        return Metadata.Pair(key: member.name, value: value)
      })
  }

  private static var damaged: StoreError { .unusable(OperatorDetail("a metadata column does not hold metadata")) }
}
