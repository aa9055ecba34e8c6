import HTTPTypes
import Hummingbird
import KassaDomain
import KassaJSON
import KassaService
import KassaStore
import NIOCore

/// What an operation answers.
struct Answer: Sendable {
  let status: Int
  let contentType: String?
  let body: [UInt8]
  var headers: [(name: HTTPField.Name, value: String)] = []
  var cacheControl = "no-store"
  /// Writes a body without an end of its own, instead of `body`.
  var writeStream: (@Sendable (inout any ResponseBodyWriter) async throws -> Void)?

  static func json(_ status: Int = 200, _ body: [UInt8]) -> Answer {
    Answer(status: status, contentType: status == 204 ? nil : "application/json", body: body)
  }

  static func text(_ text: String, type: String) -> Answer {
    Answer(status: 200, contentType: type, body: Array(text.utf8))
  }

  /// Server-Sent Events, until `write` returns or the client leaves.
  static func stream(_ write: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void) -> Answer {
    Answer(status: 200, contentType: "text/event-stream", body: [], writeStream: write)
  }

  static var noContent: Answer { Answer(status: 204, contentType: nil, body: []) }

  /// The answer made now, or the stored one with the mark that says so (contract, section 1, "Idempotency").
  static func answered<Output>(_ answered: Answered<Output>, render: (Output) -> RenderedAnswer) -> Answer {
    switch answered {
    case .fresh(let output):
      let rendered = render(output)
      return .json(rendered.status, rendered.body)
    case .replayed(let rendered):
      var answer = Answer.json(rendered.status, rendered.body)
      answer.headers.append((.idempotentReplayed, "true"))
      return answer
    }
  }

  func response(requestID: String) -> Response {
    var fields = HTTPFields()
    fields.reserveCapacity(6)
    if let contentType { fields[.contentType] = contentType }
    fields[.cacheControl] = cacheControl
    fields[.requestID] = requestID
    for (name, value) in headers { fields.append(HTTPField(name: name, value: value)) }
    let body: ResponseBody
    if let writeStream {
      body = ResponseBody { writer in
        var anyWriter: any ResponseBodyWriter = writer
        try await writeStream(&anyWriter)
        try await writer.finish(nil)
      }
    } else {
      body = status == 204 ? .init() : .init(byteBuffer: ByteBuffer(bytes: self.body))
    }
    return Response(status: .init(code: status), headers: fields, body: body)
  }
}

/// One object as the bytes of an answer.
func jsonObject(capacityBytes: Int = 1024, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
  var writer = JSONWriter(capacityBytes: capacityBytes)
  writer.object(body)
  return writer.bytes
}

extension JSONWriter {
  mutating func member<Entity>(_ name: StaticString, _ id: Identifier<Entity>) {
    id.withTextBytes { member(name, bytes: $0) }
  }

  mutating func member<Entity>(_ name: StaticString, _ id: Identifier<Entity>?) {
    if let id { member(name, id) }
  }

  mutating func member(_ name: StaticString, _ time: Timestamp) {
    time.withTextBytes { member(name, bytes: $0) }
  }

  mutating func member(_ name: StaticString, _ time: Timestamp?) {
    if let time { member(name, time) }
  }

  mutating func member(_ name: StaticString, _ metadata: Metadata) {
    member(
      name,
      object: { object in
        for pair in metadata.pairs { object.member(dynamicName: pair.key, pair.value) }
      })
  }
}

/// The envelope of every list (contract, section 1, "Paging").
func pageBody<Element>(
  _ page: Page<Element>, _ request: PageRequest, position: (Element) -> PagePosition,
  write: (Element, inout JSONWriter) -> Void
) -> [UInt8] {
  jsonObject(capacityBytes: 512 + 512 * page.content.count) { object in
    object.member(
      "content",
      array: { array in
        for element in page.content {
          array.elementObject { write(element, &$0) }
        }
      })
    object.member("total_elements", page.totalElements)
    object.member("total_pages", (page.totalElements + Int64(request.size) - 1) / Int64(request.size))
    object.member("page_number", request.number)
    object.member("page_size", request.size)
    object.member("first", request.number == 0 && request.after == nil)
    object.member("last", !page.hasMore)
    if page.hasMore, let last = page.content.last {
      object.member("next_cursor", PageCursor.text(position(last)))
    }
  }
}
