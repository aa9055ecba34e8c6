import KassaJSON
import KassaTestSupport
import Testing

/// The validator itself: what it accepts, and above all what it must not.
struct SchemaValidatorTests {
  private let validator = SchemaValidator(root: [
    "schemas": [
      "Name": ["type": "string", "minLength": 1],
      "Alias": ["$ref": "#/schemas/Name"],
      "Base": ["type": "object", "required": ["id"], "properties": ["id": ["type": "integer"]]],
    ]
  ])

  private func flaws(_ value: JSONValue, _ schema: JSONValue) throws -> [String] {
    try validator.flaws(of: value, against: schema)
  }

  private static let accepted: [(JSONValue, JSONValue)] = [
    ("a", ["type": "string"]), (7, ["type": "integer"]), (7, ["type": "number"]), (.number("0.5"), ["type": "number"]),
    (true, ["type": "boolean"]), (nil, ["type": "null"]), (nil, ["type": ["string", "null"]]),
    ("a", ["type": ["string", "null"]]), ([], ["type": "array"]), ([:], ["type": "object"]),
    ("b", ["enum": ["a", "b"]]), ("ok", ["const": "ok"]),
    ("e\u{301}", ["maxLength": 2, "minLength": 2]), (5, ["minimum": 5, "maximum": 5]),
    (.number("9.5e-07"), ["type": "number", "minimum": 0]),
    ("AB", ["pattern": "^[A-Z]{2}$"]), ("xABx", ["pattern": "[A-Z]{2}"]),
    ("550e8400-E29B-41d4-a716-446655440000", ["format": "uuid"]), ("2024-01-15T11:30:00Z", ["format": "date-time"]),
    ("2024-01-15T11:30:00.123+02:00", ["format": "date-time"]), ("about:blank", ["format": "uri"]),
    (2_147_483_647, ["format": "int32"]), ([1, 2], ["items": ["type": "integer"], "maxItems": 2]),
    ([1, 2], ["minItems": 2]), ([], ["minItems": 0]), ("no array", ["minItems": 1]),
    (["a": "x"], ["additionalProperties": ["type": "string"], "propertyNames": ["maxLength": 1]]),
    (["a": ["b": 1]], ["properties": ["a": ["properties": ["b": [:]]]]]),
    (["id": 1, "name": "x"], ["allOf": [["$ref": "#/schemas/Base"], ["properties": ["name": [:]]]]]),
    (["a": 1], ["properties": ["a": [:], "b": [:]], "oneOf": [["required": ["a"]], ["required": ["b"]]]]),
    ("x", ["$ref": "#/schemas/Alias", "description": "a name"]),
    (["anything": [1]], ["type": "object", "additionalProperties": true]),
  ]

  @Test func acceptsWhatIsValid() throws {
    for (value, schema) in Self.accepted {
      #expect(try flaws(value, schema) == [], "\(value) against \(schema)")
    }
  }

  private static let refused: [(JSONValue, JSONValue)] = [
    (1, ["type": "string"]), ("1", ["type": "integer"]), (.number("1.0"), ["type": "integer"]),
    (nil, ["type": "object"]), ([], ["type": "object"]), ([:], ["type": "array"]), (0, ["type": "boolean"]),
    ("c", ["enum": ["a", "b"]]), ("\u{212A}", ["enum": ["K"]]), ("OK", ["const": "ok"]), (1, ["const": "1"]),
    ("", ["minLength": 1]), ("abc", ["maxLength": 2]), (4, ["minimum": 5]), (6, ["maximum": 5]),
    (.number("-0.1"), ["minimum": 0]),
    ("ABC", ["pattern": "^[A-Z]{2}$"]), ("AB\n", ["pattern": "^[A-Z]{2}$"]), ("\nAB", ["pattern": "^[A-Z]{2}$"]),
    ("550e8400e29b41d4a716446655440000", ["format": "uuid"]), ("2024-13-15T11:30:00Z", ["format": "date-time"]),
    ("2024-01-15 11:30:00Z", ["format": "date-time"]), ("2024-01-15T11:30:00", ["format": "date-time"]),
    ("no uri", ["format": "uri"]), (2_147_483_648, ["format": "int32"]),
    (.number("9223372036854775808"), ["format": "int64"]),
    ([1, "2"], ["items": ["type": "integer"]]), ([1, 2, 3], ["maxItems": 2]), ([1], ["minItems": 2]),
    ([], ["minItems": 1]),
    (["a": []], ["properties": ["a": ["minItems": 1]]]),
    (["ab": "x"], ["additionalProperties": ["type": "string"], "propertyNames": ["maxLength": 1]]),
    (["a": 1], ["additionalProperties": ["type": "string"]]), (["a": 1, "b": 2], ["maxProperties": 1]),
    (7, ["type": ["string", "null"]]), (nil, ["type": ["string", "integer"]]),
    // Not described, at any depth and beside parts that describe other things.
    (["a": 1], ["type": "object"]), (["a": 1, "b": 2], ["properties": ["a": [:]]]),
    (["a": ["c": 1]], ["properties": ["a": ["properties": ["b": [:]]]]]),
    ([["b": 1]], ["items": ["properties": ["a": [:]]]]),
    (["id": 1, "more": 2], ["allOf": [["$ref": "#/schemas/Base"], ["properties": ["name": [:]]]]]),
    (["a": 1], ["properties": ["a": [:]], "additionalProperties": false, "required": ["b"]]),
    (["b": 1], ["properties": ["a": [:]], "additionalProperties": false]),
    // Parts.
    ([:], ["$ref": "#/schemas/Base"]), ("", ["$ref": "#/schemas/Alias"]),
    (["id": "1"], ["allOf": [["$ref": "#/schemas/Base"]]]),
    ([:], ["properties": ["a": [:], "b": [:]], "oneOf": [["required": ["a"]], ["required": ["b"]]]]),
    (["a": 1, "b": 2], ["properties": ["a": [:], "b": [:]], "oneOf": [["required": ["a"]], ["required": ["b"]]]]),
  ]

  @Test func refusesWhatIsNot() throws {
    for (value, schema) in Self.refused {
      #expect(try !flaws(value, schema).isEmpty, "\(value) against \(schema)")
    }
  }

  private static let faulty: [JSONValue] = [
    ["patternProperties": [:]], ["not": [:]], ["typ": "string"], ["type": "text"], ["type": ["string", "text"]],
    ["type": ["text", "string"]],
    ["type": []],
    ["format": "email"], ["pattern": "("], ["pattern": 1], ["minLength": "1"], ["minItems": "1"],
    ["$ref": "#/schemas/Nobody"],
    ["$ref": "https://example.com/schema"], ["allOf": [["unknown": 1]]], ["properties": ["a": ["unknown": 1]]],
    true,
  ]

  @Test func refusesSchemasItDoesNotUnderstand() {
    for schema in Self.faulty {
      #expect(throws: SchemaValidator.SchemaFault.self, "\(schema)") {
        try flaws(schema["pattern"] == nil && schema["minLength"] == nil ? ["a": "x"] : "x", schema)
      }
    }
  }

  @Test func namesEveryFlawWithItsPath() throws {
    let schema: JSONValue = [
      "required": ["b"], "properties": ["a": ["items": ["type": "integer"]], "c": ["maxLength": 1]],
    ]
    #expect(
      try flaws(["a": [1, "x"], "c": "long", "d": 1], schema) == [
        "$ lacks b", #"$.a[1] breaks type string("integer")"#, "$.c breaks maxLength integer(1)",
        "$.d is not described",
      ])
  }
}
