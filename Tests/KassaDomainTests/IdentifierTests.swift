import KassaDomain
import Testing

struct IdentifierTests {
  private let sample = "0188f3a7-c4de-4b21-9f00-ffeeddccbbaa"

  @Test func textAndBytesMakeRoundTrips() throws {
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<1000 {
      let id = EnrollmentID(using: &generator)
      #expect(EnrollmentID(text: id.description) == id)
      #expect(EnrollmentID(bytes: id.bytes) == id)
      #expect(Array(id.description.utf8) == id.textBytes)
    }
  }

  @Test func bytesAreThoseOfTheText() throws {
    let id = try #require(EnrollmentID(text: sample))
    let expected: [UInt8] = [
      0x01, 0x88, 0xf3, 0xa7, 0xc4, 0xde, 0x4b, 0x21, 0x9f, 0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa,
    ]
    #expect(id.bytes == expected)
  }

  @Test func isReadInAnyCaseAndWrittenInLowerCase() throws {
    let id = try #require(EnrollmentID(text: sample))
    let mixed = String(
      sample.enumerated().map { $0.offset.isMultiple(of: 2) ? Character($0.element.uppercased()) : $0.element })
    #expect(EnrollmentID(text: sample.uppercased()) == id)
    #expect(EnrollmentID(text: mixed) == id)
    #expect(id.description == sample)
  }

  @Test(arguments: [
    "", "0", "0188f3a7c4de4b219f00ffeeddccbbaa", "0188f3a7-c4de-4b21-9f00-ffeeddccbba",
    "0188f3a7-c4de-4b21-9f00-ffeeddccbbaaa", "0188f3a7-c4de-4b21-9f00-ffeeddccbbaa-",
    "-0188f3a7-c4de-4b21-9f00-ffeeddccbba", "0188f3a-7c4de-4b21-9f00-ffeeddccbbaa",
    "0188f3a7_c4de_4b21_9f00_ffeeddccbbaa", "0188f3a7-c4de-4b21-9f00-ffeeddccbbag",
    " 188f3a7-c4de-4b21-9f00-ffeeddccbbaa", "0188f3a7-c4de-4b21-9f00-ffeeddccbbaa ",
    "{0188f3a7-c4de-4b21-9f00-ffeeddccbba}", "0188f3a7-c4de-4b21-9f00-ffeeddccbba\u{e4}",
    "\u{ff10}188f3a7-c4de-4b21-9f00-ffeeddccbbaa", "0188f3a7-c4de-4b21-9f00--feeddccbbaa",
    "0188f3a7\u{2010}c4de-4b21-9f00-ffeeddccbbaa", "0188f3a7-c4de-4b21-9f00-ffeeddccbb\0a",
  ])
  func refusesWhatIsMalformed(text: String) {
    #expect(EnrollmentID(text: text) == nil)
  }

  @Test(arguments: [0, 1, 15, 17, 32])
  func refusesAnotherNumberOfBytes(count: Int) {
    #expect(EnrollmentID(bytes: [UInt8](repeating: 7, count: count)) == nil)
  }

  @Test(arguments: [UInt64.min, .max, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa])
  func carriesVersionAndVariantWhateverTheRandomness(word: UInt64) {
    var generator = ConstantGenerator(word: word)
    let bytes = EnrollmentID(using: &generator).bytes
    #expect(bytes[6] >> 4 == 4)
    #expect(bytes[8] >> 6 == 0b10)
  }

  @Test func allOtherBitsAreRandom() {
    var generator = SeededGenerator(seed: 2)
    var ones = [UInt8](repeating: 0, count: 16)
    var zeros = ones
    for _ in 0..<200 {
      for (index, byte) in EnrollmentID(using: &generator).bytes.enumerated() {
        ones[index] |= byte
        zeros[index] |= ~byte
      }
    }
    var both = zip(ones, zeros).map { $0 & $1 }
    #expect(both[6] == 0x0f)
    #expect(both[8] == 0x3f)
    both[6] = 0xff
    both[8] = 0xff
    #expect(both == [UInt8](repeating: 0xff, count: 16))
  }

  @Test func orderIsThatOfTheBytes() throws {
    var generator = SeededGenerator(seed: 3)
    var ids = (0..<300).map { _ in EnrollmentID(using: &generator) }
    // Neighbours that differ only in the first, the eighth, the ninth or the last byte.
    let base = [UInt8](repeating: 0x80, count: 16)
    for place in [0, 7, 8, 15] {
      for value: UInt8 in [0x00, 0x7f, 0xff] {
        var bytes = base
        bytes[place] = value
        ids.append(try #require(EnrollmentID(bytes: bytes)))
      }
    }
    for left in ids {
      for right in ids {
        #expect((left < right) == left.bytes.lexicographicallyPrecedes(right.bytes))
        #expect((left == right) == (left.bytes == right.bytes))
      }
    }
    #expect(ids.sorted().map(\.description) == ids.map(\.description).sorted())
  }

  @Test func keepsItsBytesAsAnotherKind() throws {
    let id = try #require(EnrollmentID(text: sample))
    #expect(id.of(EventSubject.self).bytes == id.bytes)
  }
}
