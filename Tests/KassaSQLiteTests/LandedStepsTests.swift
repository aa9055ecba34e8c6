import Crypto
import KassaDomain
import Testing

@testable import KassaSQLite

/// Databases have the steps of the schema as they were when they landed: an edit would reach none of them.
struct LandedStepsTests {
  /// Add a step instead of changing one, and its SHA-256 here.
  private static let landed = [
    "0001-pairing 2d1ccfed739b82ec08a7927c99d754d09f2e8170578ab14ea53125b63c2e89c0",
    "0002-sessions 817ed038305d3debbf20e22b37e96049f80063e83b908c61a84bfad162c165b9",
    "0003-callbacks f9b9edf4063825e7dbf0c3df8631b772ab4af239f910cdcc9dd58b79d9aadcb8",
    "0004-providers 9994b50fe33e565976b405f3b6e9698e12bcbb71035a8296f9cf02ddf25e1103",
    "0005-orders 2c32a47bbdc951cacd624705ffbd34052cb40b53fd0d8d14bb605e35971b79df",
  ]

  @Test func stepsThatHaveLandedAreNeverEdited() {
    #expect(
      Migrations.steps.map { "\($0.name) \(hexadecimalText(SHA256.hash(data: Array($0.sql.utf8))))" } == Self.landed)
  }
}
