import KassaDomain
import KassaService
import KassaStore

/// Contract, sections 3 and 4.
enum DeviceOperations {
  static let all: [Operation] = [
    .open("registerDevice", .post, "/pos/v1/devices", body: .json(bytesMax: APILimits.registrationBodyBytesMax)) {
      call in
      let (limiter, source) = (call.call.api.registrationLimiter, call.call.source)
      try limiter.take(source, nowNanoseconds: monotonicNanoseconds())
      let input = try DeviceWire.registration(try await call.body().object, call: call.call)
      let registered = try await call.service.registerDevice(input)
      limiter.giveBack(source)
      let now = call.service.now
      return .json(201, jsonObject { DeviceWire.write(registered, at: now, &$0) })
    },
    .device("getOwnDevice", .get, "/pos/v1/device") { call in
      let now = call.service.now
      return .json(200, jsonObject { DeviceWire.write(call.principal.device, at: now, &$0) })
    },
    .merchant("listDevices", .get, "/ipp/v1/devices", key: .within) { call in
      var query = call.query
      let filter = DeviceFilter(
        locationID: query.identifier("location_id", of: Location.self), metadata: query.metadata())
      let page = query.page(sizeMax: APILimits.pageSizeMax)
      try query.finish()
      let found = try await call.service.devices(filter, page, as: call.principal)
      let now = call.service.now
      return .json(
        200,
        pageBody(found, page, position: DeviceWire.position) { device, object in
          DeviceWire.write(device, at: now, &object)
        })
    },
    .merchant("getDevice", .get, "/ipp/v1/devices/{id}", key: .within) { call in
      let device = try await call.service.device(try call.call.pathID("id"), as: call.principal)
      let now = call.service.now
      return .json(200, jsonObject { DeviceWire.write(device, at: now, &$0) })
    },
    .merchant("updateDevice", .put, "/ipp/v1/devices/{id}", body: .json) { call in
      let id: DeviceID = try call.call.pathID("id")
      let replacement = try DeviceWire.replacement(try await call.body().object)
      let device = try await call.service.replaceDevice(id, with: replacement, as: call.principal)
      let now = call.service.now
      return .json(200, jsonObject { DeviceWire.write(device, at: now, &$0) })
    },
    .merchant("deleteDevice", .delete, "/ipp/v1/devices/{id}") { call in
      try await call.service.deleteDevice(try call.call.pathID("id"), as: call.principal)
      return .noContent
    },
  ]
}
