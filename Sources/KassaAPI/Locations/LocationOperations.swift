import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Contract, section 5.
enum LocationOperations {
  static let all: [Operation] = [
    .merchant("listLocations", .get, "/ipp/v1/locations") { call in
      var query = call.query
      let page = query.page(sizeMax: APILimits.pageSizeMax)
      try query.finish()
      let found = try await call.service.locations(page, as: call.principal)
      return .json(200, pageBody(found, page, position: LocationWire.position, write: LocationWire.write))
    },
    .merchant("getLocation", .get, "/ipp/v1/locations/{id}") { call in
      let location = try await call.service.location(try call.call.pathID("id"), as: call.principal)
      return .json(200, jsonObject { LocationWire.write(location, &$0) })
    },
    .merchant("createLocation", .post, "/portal/v1/locations", body: .json) { call in
      let body = try await call.body()
      let details = try LocationWire.details(body.object)
      let created = try await call.service.createLocation(
        details, as: call.principal, once: try call.once(body, render: LocationWire.created))
      return .answered(created, render: LocationWire.created)
    },
    .merchant("updateLocation", .put, "/portal/v1/locations/{id}", body: .json) { call in
      let id: LocationID = try call.call.pathID("id")
      let details = try LocationWire.details(try await call.body().object)
      let location = try await call.service.replaceLocation(id, with: details, as: call.principal)
      return .json(200, jsonObject { LocationWire.write(location, &$0) })
    },
    .merchant("deleteLocation", .delete, "/portal/v1/locations/{id}") { call in
      try await call.service.deleteLocation(try call.call.pathID("id"), as: call.principal)
      return .noContent
    },
  ]
}

/// Locations as JSON.
enum LocationWire {
  private static let postalCodeCharactersMax = 20

  static func details(_ object: JSONObject) throws -> Location.Details {
    var fields = FieldReader(object)
    let characters = 1...APILimits.nameCharactersMax
    let name = fields.requiredText("name", characters: characters)
    let country = fields.text("country", characters: 2...2)
    if let country, !country.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }) {
      fields.refuse("country", "must be an ISO 3166-1 alpha-2 code in upper case, like SE")
    }
    let details = Location.Details(
      name: name ?? "", streetAddress: fields.text("street_address", characters: characters),
      streetAddress2: fields.text("street_address2", characters: characters),
      postalCode: fields.text("postal_code", characters: 1...postalCodeCharactersMax),
      city: fields.text("city", characters: characters), country: country)
    try fields.finish()
    return details
  }

  @Sendable static func created(_ location: Location) -> RenderedAnswer {
    RenderedAnswer(status: 201, body: jsonObject { write(location, &$0) })
  }

  static func write(_ location: Location, _ object: inout JSONWriter) {
    object.member("id", location.id)
    object.member("merchant_id", location.merchantID)
    writeDetails(location.details, &object)
    object.member("created_at", location.createdAt)
    object.member("updated_at", location.updatedAt)
  }

  static func writeDetails(_ details: Location.Details, _ object: inout JSONWriter) {
    object.member("name", details.name)
    object.member("street_address", details.streetAddress)
    object.member("street_address2", details.streetAddress2)
    object.member("postal_code", details.postalCode)
    object.member("city", details.city)
    object.member("country", details.country)
  }

  static func position(_ location: Location) -> PagePosition {
    PagePosition(createdAt: location.createdAt, id: location.id.of(EventSubject.self))
  }
}
