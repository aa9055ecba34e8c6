import KassaDomain
import KassaJSON
import KassaService

/// By which methods a merchant collects, and through whom.
enum PaymentMethodOperations {
  static let all: [Operation] = [
    .merchant("listPaymentMethods", .get, "/portal/v1/payment-methods") { call in
      let views = try await call.service.paymentMethods(as: .backend(call.principal))
      return .json(
        200,
        jsonObject(capacityBytes: 8192) { object in
          object.member(
            "content",
            array: { array in
              for view in views { array.elementObject { PaymentMethodWire.write(view, &$0) } }
            })
        })
    },
    .merchant("getPaymentMethod", .get, "/portal/v1/payment-methods/{method}") { call in
      let view = try await call.service.paymentMethod(try call.call.pathMethod(), as: .backend(call.principal))
      return .json(200, jsonObject { PaymentMethodWire.write(view, &$0) })
    },
    .merchant("updatePaymentMethod", .put, "/portal/v1/payment-methods/{method}", body: .json) { call in
      let method = try call.call.pathMethod()
      let wanted = try PaymentMethodWire.input(try await call.body().object)
      let view = try await call.service.replacePaymentMethod(method, with: wanted, as: .backend(call.principal))
      return .json(200, jsonObject { PaymentMethodWire.write(view, &$0) })
    },
    .merchant("deletePaymentMethod", .delete, "/portal/v1/payment-methods/{method}") { call in
      try await call.service.deletePaymentMethod(try call.call.pathMethod(), as: .backend(call.principal))
      return .noContent
    },
    .merchant("checkPaymentMethod", .post, "/portal/v1/payment-methods/{method}/check") { call in
      let method = try call.call.pathMethod()
      return try await call.answerOnce {
        PaymentMethodWire.findings(try await call.service.checkPaymentMethod(method, as: .backend(call.principal)))
      }
    },
    .merchant("subscribePaymentMethod", .post, "/portal/v1/payment-methods/{method}/subscribe") { call in
      let method = try call.call.pathMethod()
      return try await call.answerOnce {
        let view = try await call.service.subscribePaymentMethod(method, as: .backend(call.principal))
        return jsonObject { PaymentMethodWire.write(view, &$0) }
      }
    },
  ]
}

extension Call {
  /// The method in the path. Throws `ServiceFailure.notFound` for anything else.
  func pathMethod() throws -> PaymentMethod {
    guard let text = pathParameters["method"],
      let method = PaymentMethod.allCases.first(where: { $0.rawValue.utf8.elementsEqual(text.utf8) })
    else { throw ServiceFailure.notFound }
    return method
  }
}

/// Payment methods as JSON.
enum PaymentMethodWire {
  static func input(_ object: JSONObject) throws -> ReplacePaymentMethod {
    var fields = FieldReader(object)
    let provider = fields.requiredChoice("provider", ProviderName.self)
    let isOn = fields.requiredBoolean("enabled")
    let policy = fields.choice("capture", CapturePolicy.self) ?? .automatic
    let settings = fields.texts("settings")
    try fields.finish()
    guard let provider, let isOn else { preconditionFailure("a required field was left out without a flaw") }
    return ReplacePaymentMethod(provider: provider, isOn: isOn, capturePolicy: policy, settings: settings)
  }

  static func write(_ view: PaymentMethodView, _ object: inout JSONWriter) {
    object.member("method", view.method.rawValue)
    object.member("enabled", view.configured?.details.isOn ?? false)
    if let configured = view.configured {
      object.member("provider", configured.provider.rawValue)
      object.member("capture", configured.details.capturePolicy.rawValue)
      object.member(
        "settings",
        object: { object in
          for (name, value) in configured.details.settings.sorted(by: { $0.key < $1.key }) {
            object.member(dynamicName: name, value)
          }
        })
      object.member(
        "secrets_kept",
        array: { array in
          for name in configured.details.sealedSecrets.keys.sorted() { array.element(name) }
        })
      object.member("built_in", configured.details.isBuiltIn)
      object.member("version", configured.version)
      object.member("created_at", configured.createdAt)
      object.member("updated_at", configured.updatedAt)
    }
    object.member("notification_url", view.notificationURL)
    object.member(
      "providers",
      array: { array in
        for kind in view.kinds { array.elementObject { write(kind, &$0) } }
      })
  }

  private static func write(_ kind: ProviderKind, _ object: inout JSONWriter) {
    object.member("provider", kind.name.rawValue)
    object.member("needs_subscription", kind.needsSubscription)
    object.member(
      "fields",
      array: { array in
        for field in kind.fields {
          array.elementObject { object in
            object.member("name", field.name)
            object.member("explanation", field.explanation)
            object.member("required", field.isRequired)
            object.member("secret", field.isSecret)
          }
        }
      })
  }

  static func findings(_ findings: [ProviderFinding]) -> [UInt8] {
    jsonObject { object in
      object.member("sound", findings.allSatisfy(\.isSound))
      object.member(
        "findings",
        array: { array in
          for finding in findings {
            array.elementObject { object in
              object.member("text", finding.text)
              object.member("sound", finding.isSound)
            }
          }
        })
    }
  }
}
