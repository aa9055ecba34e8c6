import Crypto
import KassaDomain
import Testing

@testable import KassaPostgres

/// Databases have the steps of the schema as they were when they landed: an edit would reach none of them.
struct LandedStepsTests {
  /// Add a step instead of changing one, and its SHA-256 here.
  private static let landed = [
    "pairing 9c467a55ef0b4f323e658c660b5b20f4f2a714cf045b62cd16a0b1f3f9973e99",
    "sessions 922a709ad673d072b88288bd6faff9d59d569ea11f6080f1a6e1208bad9ae011",
    "callbacks fe1e4d7713b004e3b662d6c8b2cafd7c6082faf8fb235d35cc13ec490b2183a0",
  ]

  @Test func stepsThatHaveLandedAreNeverEdited() {
    #expect(Schema.steps.map { "\($0.name) \(hexadecimalText(SHA256.hash(data: Array($0.sql.utf8))))" } == Self.landed)
  }
}
