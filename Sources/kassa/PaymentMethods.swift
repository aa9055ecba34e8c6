import ArgumentParser
import Foundation
import KassaDomain
import KassaServer
import KassaService

struct PaymentMethods: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "payment-methods",
    abstract: "Say by which methods a merchant collects and through whom, and check it.",
    subcommands: [List.self, Set.self, Check.self, Subscribe.self, Remove.self])

  /// Which merchant's method.
  struct Target: ParsableArguments {
    @OptionGroup var administration: AdministrationOptions
    @Option(help: "The merchant's id.")
    var merchant: String
    @Option(help: "CARD, KLARNA, SWISH or VIPPS.")
    var method: String

    func run(_ body: (KassaService, PaymentMethod, MerchantActor) async throws -> Void) async throws {
      let actor = MerchantActor.console(try identifier(merchant, "--merchant", of: Merchant.self))
      let method = try choice(method, "--method", of: PaymentMethod.self)
      try await administration.withService { service, _ in
        do {
          try await body(service, method, actor)
        } catch ServiceFailure.invalid(let flaws) {
          throw SettingsError(flaws.map { "\($0.path) \($0.message)" }.joined(separator: "\n"))
        } catch ServiceFailure.providerRefused(let message) {
          throw SettingsError(message)
        } catch ServiceFailure.paymentMethodInUse {
          throw SettingsError("money is still on its way by \(method.rawValue): switch it off, and remove it later")
        }
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List every method: whether it is on, through whom, and what each provider wants to be told.")

    @OptionGroup var administration: AdministrationOptions
    @Option(help: "The merchant's id.")
    var merchant: String

    func run() async throws {
      let actor = MerchantActor.console(try identifier(merchant, "--merchant", of: Merchant.self))
      try await administration.withService { service, _ in
        for view in try await service.paymentMethods(as: actor) {
          Console.say(PaymentMethods.line(view))
          for kind in view.kinds {
            for field in kind.fields {
              let marks = [field.isRequired ? nil : "optional", field.isSecret ? "secret" : nil].compactMap { $0 }
              let mark = marks.isEmpty ? "" : " (\(marks.joined(separator: ", ")))"
              Console.say("    \(kind.name.rawValue) \(field.name)\(mark): \(field.explanation)")
            }
          }
        }
      }
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say who collects by a method. A secret that is left out stays as it is.")

    @OptionGroup var target: Target
    @Option(help: "SIMULATED (playground only), STRIPE_TERMINAL, SWISH, VIPPS or KLARNA.")
    var provider: String
    @Option(help: "name=value; may be given several times.")
    var setting: [String] = []
    @Option(help: "name=PATH of a file whose content is the value (\"-\" reads standard input); for secrets.")
    var settingFile: [String] = []
    @Option(help: "AUTOMATIC, or MANUAL to capture by a call.")
    var capture = CapturePolicy.automatic.rawValue
    @Flag(inversion: .prefixedNo, help: "Whether phones may choose it.")
    var enabled = true

    func run() async throws {
      var settings: [String: String] = [:]
      for text in setting {
        let (name, value) = try PaymentMethods.pair(text, "--setting")
        settings[name] = value
      }
      for text in settingFile {
        let (name, path) = try PaymentMethods.pair(text, "--setting-file")
        let data =
          path == "-" ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: path)
        guard let data, let value = String(validating: data, as: UTF8.self) else {
          throw SettingsError("--setting-file: \(path) cannot be read as text")
        }
        settings[name] = value
      }
      let wanted = ReplacePaymentMethod(
        provider: try choice(provider, "--provider", of: ProviderName.self), isOn: enabled,
        capturePolicy: try choice(capture, "--capture", of: CapturePolicy.self), settings: settings)
      try await target.run { service, method, actor in
        let view = try await service.replacePaymentMethod(method, with: wanted, as: actor)
        Console.say(PaymentMethods.line(view))
        if view.kinds.contains(where: { $0.name == wanted.provider && $0.needsSubscription }) {
          Console.say("It notifies this server only once that was asked for: kassa payment-methods subscribe")
        }
      }
    }
  }

  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Call the provider with the stored settings, and say what is right and what is wrong.",
      discussion: "Ends with status 1 when something is wrong.")

    @OptionGroup var target: Target

    func run() async throws {
      try await target.run { service, method, actor in
        let findings = try await service.checkPaymentMethod(method, as: actor)
        for finding in findings { Console.say((finding.isSound ? "ok    " : "WRONG ") + finding.text) }
        if !findings.allSatisfy(\.isSound) { throw ExitCode.failure }
      }
    }
  }

  struct Subscribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Have the provider send its notifications to this server; --public-url of the server must be set.")

    @OptionGroup var target: Target

    func run() async throws {
      try await target.run { service, method, actor in
        let view = try await service.subscribePaymentMethod(method, as: actor)
        Console.say("\(view.configured?.provider.rawValue ?? "") notifies \(view.notificationURL)")
      }
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget a method's settings. What was taken by it can then not be refunded through Kassa.")

    @OptionGroup var target: Target

    func run() async throws {
      try await target.run { service, method, actor in
        try await service.deletePaymentMethod(method, as: actor)
        Console.say("\(method.rawValue) is removed")
      }
    }
  }

  private static func line(_ view: PaymentMethodView) -> String {
    guard let configured = view.configured else { return "\(view.method.rawValue)  not configured" }
    let details = configured.details
    let settings = details.settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let secrets = details.sealedSecrets.keys.sorted().map { "\($0)=…" }
    let state = details.isOn ? "on" : "off"
    return
      ([view.method.rawValue, state, configured.provider.rawValue, details.capturePolicy.rawValue] + settings + secrets)
      .joined(separator: "  ")
  }

  private static func pair(_ text: String, _ option: String) throws -> (name: String, value: String) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[0].isEmpty else {
      throw SettingsError("\(option) must be name=value, not \"\(text)\"")
    }
    return (parts[0], parts[1])
  }
}

/// One of the cases' raw values, in any case.
private func choice<Choice: RawRepresentable & CaseIterable>(
  _ text: String, _ option: String, of: Choice.Type
) throws -> Choice where Choice.RawValue == String {
  guard let choice = Choice.allCases.first(where: { $0.rawValue == text.uppercased() }) else {
    throw SettingsError(
      "\(option) must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", ")), not \"\(text)\"")
  }
  return choice
}
