import KassaJSON

/// One JSON object as bytes.
func json(_ members: (inout JSONWriter) -> Void) -> [UInt8] {
  var writer = JSONWriter()
  writer.object(members)
  return writer.bytes
}

/// The JSON object that the bytes are, if they are one.
func jsonObject(of bytes: [UInt8]) -> JSONObject? {
  if case .object(let object)? = try? JSONParser.parse(bytes) { object } else { nil }
}
