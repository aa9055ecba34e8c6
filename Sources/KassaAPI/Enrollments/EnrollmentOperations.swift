import KassaDomain
import KassaService
import KassaStore

/// Contract, section 2.
enum EnrollmentOperations {
  static let all: [Operation] = [
    .merchant("createEnrollment", .post, "/ipp/v1/enrollments", body: .json, key: .within) { call in
      let body = try await call.body()
      let input = try EnrollmentWire.command(body.object)
      let created = try await call.service.createEnrollment(
        input, as: call.principal, once: try call.once(body, render: EnrollmentWire.created))
      return .answered(created, render: EnrollmentWire.created)
    },
    .merchant("listEnrollments", .get, "/ipp/v1/enrollments", key: .within) { call in
      var query = call.query
      let filter = EnrollmentFilter(
        locationID: query.identifier("location_id", of: Location.self), metadata: query.metadata(),
        includesConsumed: query.boolean("include_consumed", default: true))
      let page = query.page(sizeMax: APILimits.enrollmentPageSizeMax)
      try query.finish()
      let found = try await call.service.enrollments(filter, page, as: call.principal)
      return .json(200, pageBody(found, page, position: EnrollmentWire.position, write: EnrollmentWire.write))
    },
    .merchant("getEnrollment", .get, "/ipp/v1/enrollments/{enrollment_id}", key: .within) { call in
      let id: EnrollmentID = try call.call.pathID("enrollment_id")
      let found = try await call.service.enrollment(id, as: call.principal)
      return .json(200, jsonObject { EnrollmentWire.write(found, &$0) })
    },
    .merchant("deleteEnrollments", .delete, "/ipp/v1/enrollments/{enrollment_id}") { call in
      try await call.service.cancelEnrollment(try call.call.pathID("enrollment_id"), as: call.principal)
      return .noContent
    },
  ]
}
