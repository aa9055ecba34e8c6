import KassaDomain
import KassaStore
import Synchronization

/// A seeded generator (SplitMix64), so that every run makes the same inputs.
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) {
    state = seed
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// Makes records for tests, each with identifiers and hashes of its own.
package final class Maker: Sendable {
  private let generator: Mutex<SeededGenerator>
  /// The time of what is made without one.
  package static let epoch = Timestamp(millisecondsSinceEpoch: 1_705_318_200_000)

  package init(seed: UInt64 = 1) {
    generator = Mutex(SeededGenerator(seed: seed))
  }

  package func id<Entity>(_ entity: Entity.Type = Entity.self) -> Identifier<Entity> {
    generator.withLock { Identifier(using: &$0) }
  }

  package func bytes(_ count: Int = 32) -> [UInt8] {
    generator.withLock { generator in (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) } }
  }

  package func below(_ bound: Int) -> Int {
    generator.withLock { Int.random(in: 0..<bound, using: &$0) }
  }

  package func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }

  package func metadata(_ members: KeyValuePairs<String, String>) throws -> Metadata {
    try Metadata.make(members.map { (key: $0.key, value: $0.value) }).get()
  }

  package func merchant(at time: Timestamp = epoch) -> Merchant {
    Merchant(id: id(), name: "Merchant", createdAt: time)
  }

  package func apiKey(of merchant: MerchantID, hash: [UInt8]? = nil, at time: Timestamp = epoch) -> APIKey {
    APIKey(
      id: id(), merchantID: merchant, name: "key", prefix: "kassa_test_api_abcd", hash: hash ?? bytes(),
      createdAt: time)
  }

  package func location(of merchant: MerchantID, name: String = "Shop", at time: Timestamp = epoch) -> Location {
    Location(id: id(), merchantID: merchant, details: Location.Details(name: name), createdAt: time)
  }

  package func enrollment(
    of merchant: MerchantID, at location: LocationID? = nil, metadata: Metadata = .empty,
    created: Timestamp = epoch, lives seconds: Int64 = 7200, code: SealedCode? = nil, typedSymbols: Int = 8
  ) -> Enrollment {
    Enrollment(
      id: id(), merchantID: merchant, locationID: location ?? id(), metadata: metadata, createdAt: created,
      expiresAt: created.adding(seconds: seconds), code: code ?? self.code(typedSymbols: typedSymbols))
  }

  package func code(codeHash: [UInt8]? = nil, tokenHash: [UInt8]? = nil, typedSymbols: Int = 8) -> SealedCode {
    SealedCode(
      codeHash: codeHash ?? bytes(), tokenHash: tokenHash ?? bytes(), sealed: bytes(60), typedSymbols: typedSymbols)
  }

  package func device(
    of merchant: MerchantID, enrollment: EnrollmentID? = nil, at location: LocationID? = nil,
    metadata: Metadata = .empty, created: Timestamp = epoch
  ) -> Device {
    Device(
      id: id(), merchantID: merchant, enrollmentID: enrollment ?? id(), hardwareID: "hardware", platform: .android,
      name: "Till", metadata: metadata, locationID: location, createdAt: created, keyThumbprint: nil)
  }

  package func replay(until: Timestamp) -> RegistrationReplay {
    RegistrationReplay(requestHash: bytes(), sealedToken: bytes(80), validUntil: until)
  }

  package func event(
    of merchant: MerchantID, subject: SubjectID? = nil, sequence: Int64 = 1, type: EventType = .deviceChanged,
    actor: Actor = .system
  ) -> Event {
    Event(
      merchantID: merchant, subjectID: subject ?? id(), sequence: sequence, type: type, at: Self.epoch, actor: actor,
      requestID: nil)
  }
}

extension Enrollment {
  /// The enrollment after `command`, applied just after its creation, or at its end for the sweeper.
  package func after(_ command: Command) throws -> Enrollment {
    var moved = self
    _ = try moved.apply(command, at: command == .expire ? expiresAt : createdAt)
    return moved
  }

  package var code: SealedCode? {
    if case .pending(let code) = state { code } else { nil }
  }

  var position: PagePosition { PagePosition(createdAt: createdAt, id: id.of(EventSubject.self)) }
}

extension Device {
  var position: PagePosition { PagePosition(createdAt: createdAt, id: id.of(EventSubject.self)) }
}

extension Location {
  var position: PagePosition { PagePosition(createdAt: createdAt, id: id.of(EventSubject.self)) }
}

extension APIKey {
  var position: PagePosition { PagePosition(createdAt: createdAt, id: id.of(EventSubject.self)) }
}
