import Foundation
import Hummingbird
import HummingbirdCore
import KassaAPI
import KassaDelivery
import KassaDomain
import KassaPostgres
import KassaProviders
import KassaSQLite
import KassaService
import KassaStore
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// Puts the parts together and runs them.
package enum KassaServer {
  /// Time that requests under way get to finish after SIGTERM or SIGINT.
  private static let drainSeconds = 30

  /// What a server that listens tells its starter.
  package struct Ready: Sendable {
    package let url: String
    /// In the playground only.
    package let playground: (merchant: MerchantID, apiKey: String)?
  }

  /// Serves until SIGTERM or SIGINT, then drains. `whenReady` is called once it listens.
  /// A playground also runs `emulators`.
  package static func run(
    _ settings: ServerSettings, emulators: (any PlaygroundEmulators)? = nil,
    whenReady: @escaping @Sendable (Ready) throws -> Void
  ) async throws {
    let emulators = settings.environment == .playground ? emulators : nil
    raiseOpenFilesLimit()
    umask(0o077)
    let logger = settings.logging.logger("kassa")
    let secrets = try loadSecrets(settings)
    let store = try openStore(settings.database)
    let http = makeHTTPClient()
    func end() async {
      await emulators?.stop()
      await http.shutdown()
      await store.close()
    }
    do {
      let address = ListeningAddress(host: settings.host, port: settings.port)
      let metrics = Metrics()
      let draining = Draining()
      let signals = await StopSignals(draining, delaySeconds: settings.drainDelaySeconds, logger: logger)
      let emulated = try await emulators?.start(publicURL: { settings.publicURL ?? address.url }) ?? []
      let playgroundParts =
        settings.environment == .playground
        ? PlaygroundParts(store: store, emulated: emulated, moveEmulators: { emulators?.advance(seconds: $0) }) : nil
      let service = makeService(
        settings, store: store, secrets: secrets, http: http, playground: playgroundParts,
        hooks: hooks(metrics, logger), listeningURL: { address.url })
      playgroundParts?.connect(service)
      try await claim(service, database: settings.database)
      let playground = settings.environment == .playground ? try await service.preparePlayground() : nil
      let application = buildApplication(
        settings, service: service, playground: playgroundParts, metrics: metrics, draining: draining, logger: logger
      ) { port in
        address.note(port: port)
        let ready = Ready(url: address.url, playground: playground)
        do {
          if let path = settings.readyFile { try write(ready, to: path) }
          try whenReady(ready)
        } catch {
          logger.critical("could not tell that the server is ready", metadata: ["error": "\(error)"])
        }
      }
      var group = ServiceGroupConfiguration(
        services: [
          .init(service: application),
          .init(service: signals, successTerminationBehavior: .gracefullyShutdownGroup),
        ], logger: logger)
      group.maximumGracefulShutdownDuration = .seconds(drainSeconds)
      try await ServiceGroup(configuration: group).run()
      // Until here a signal that comes again ends nothing.
      withExtendedLifetime(signals) {}
    } catch let error as IOError where [EADDRINUSE, EACCES, EADDRNOTAVAIL].contains(error.errnoCode) {
      await end()
      throw SettingsError(
        "cannot listen on \(settings.host), port \(settings.port): \(String(cString: strerror(error.errnoCode))); "
          + "name another with --\(SettingName.host.rawValue) or --\(SettingName.port.rawValue) (0 takes any free one)")
    } catch {
      await end()
      throw error
    }
    await end()
    logger.info("stopped")
  }

  /// The whole server as one service: used by the program and by tests alike.
  package static func buildApplication(
    _ settings: ServerSettings, service: KassaService, playground: PlaygroundParts? = nil,
    metrics: Metrics = Metrics(), draining: Draining = Draining(),
    logger: Logger, whenListening: @escaping @Sendable (_ port: Int) -> Void
  ) -> some Service {
    let api = KassaAPI(
      service: service, settings: settings.api,
      hooks: APIHooks(
        requestFinished: { record in
          metrics.count(record)
          logger.log(record)
        },
        openConnections: metrics.connections(changedBy:), openStreams: metrics.streams(changedBy:),
        playground: playground?.controls, sessionPushed: metrics.sessionPushed(afterMilliseconds:),
        metrics: {
          metrics.rendered(
            store: service.storeActivity, security: try? await service.codeSecurity(),
            pendingCallbacks: try? await service.pendingCallbacks(), unsettled: try? await service.unsettledPayments(),
            credentials: try? await service.recentFirstEndingCredentials())
        }, draining: draining))
    let gate = AddressGate(environment: settings.environment, resolver: SystemHostResolver.shared)
    let callbacks = CallbackWorker(
      source: CallbackQueue(service: service), sender: CallbackSender(gate: gate), commits: service.commits,
      observer: metrics, clock: SystemClock.now, logger: logger)
    return Application(
      responder: api, server: api.server,
      configuration: ApplicationConfiguration(
        address: .hostname(settings.host, port: settings.port), serverName: nil, backlog: APILimits.listenBacklog,
        availableConnectionsDelegate: MaximumAvailableConnections(settings.connectionsMax, logger: logger)),
      services: [Sweeper(service: service, logger: logger), callbacks],
      onServerRunning: { whenListening($0.localAddress?.port ?? settings.port) },
      logger: settings.logging.logger("kassa.http", from: .warning))
  }

  /// Opens the database. One that is missing, or empty, is made only if `makesDatabase`.
  package static func openStore(_ database: DatabaseAddress, makesDatabase: Bool = true) throws -> any Store {
    do {
      switch database {
      case .sqlite(let path):
        guard makesDatabase || FileManager.default.fileExists(atPath: path) else {
          throw StoreError.unusable(OperatorDetail("there is no database at \(path)"))
        }
        return try SQLiteStore(path: path)
      case .postgres(let address): return try PostgresStore(address, makesSchema: makesDatabase)
      }
    } catch let error as StoreError {
      throw worded(error, database)
    }
  }

  /// What an operator reads when a command cannot use a database.
  package static func worded(_ error: StoreError, _ database: DatabaseAddress) -> SettingsError {
    switch error {
    case .unusable(let detail): SettingsError(detail.text)
    case .unavailable(let detail): SettingsError("\(database) cannot be used now: \(detail.text)")
    case .indeterminate(let detail): SettingsError("it is not known whether it was done: \(detail.text)")
    case .conflict(let constraint): SettingsError("it is there already (\(constraint.rawValue))")
    }
  }

  /// The server's secrets: loaded before the database is opened, because a new key file is made only for a new database.
  package static func loadSecrets(_ settings: ServerSettings) throws -> ServerSecrets {
    let key = try settings.secretKey ?? SecretKey.load(for: settings.database)
    guard let secrets = ServerSecrets(masterKey: key) else { throw SettingsError("the secret key must have 32 bytes") }
    return secrets
  }

  /// Without `http` no real provider can be chosen.
  package static func makeService(
    _ settings: ServerSettings, store: any Store, secrets: ServerSecrets, http: ProviderHTTPClient? = nil,
    playground: PlaygroundParts? = nil,
    hooks: ServiceHooks = ServiceHooks(), listeningURL: @escaping @Sendable () -> String
  ) -> KassaService {
    // An administrator beside a playground's server sees the same providers.
    let playground = playground ?? (settings.environment == .playground ? PlaygroundParts(store: store) : nil)
    let clock: @Sendable () -> Timestamp = playground?.clock.now ?? SystemClock.now
    return KassaService(
      store: store, secrets: secrets, environment: settings.environment,
      settings: ServiceSettings(
        codeAttemptsPerDay: settings.codeAttemptsPerDay,
        codeAttemptsPerSourcePerMinute: settings.codeAttemptsPerSourcePerMinute,
        sessionSeconds: settings.sessionSeconds, publicURL: { settings.publicURL ?? listeningURL() }),
      providerKinds: (playground.map { [$0.cards.kind] } ?? [])
        + (http.map { kinds($0, isPlayground: playground != nil, clock: clock) } ?? []),
      builtInMethods: playground?.builtInMethods ?? [], buyers: playground?.buyers ?? [:],
      webhookGate: AddressGate(environment: settings.environment, resolver: SystemHostResolver.shared),
      hooks: hooks,
      clock: clock)
  }

  /// What calls providers. Must be shut down.
  package static func makeHTTPClient() -> ProviderHTTPClient { ProviderHTTPClient(clock: SystemClock.now) }

  /// The real providers, for merchants to choose.
  private static func kinds(
    _ http: ProviderHTTPClient, isPlayground: Bool, clock: @escaping @Sendable () -> Timestamp
  ) -> [ProviderKind] {
    [
      StripeTerminalProvider.kind(http: http, isPlayground: isPlayground, clock: clock),
      KlarnaProvider.kind(http: http, isPlayground: isPlayground, clock: clock),
      SwishProvider.kind(http: http, isPlayground: isPlayground, clock: clock),
      VippsProvider.kind(http: http, isPlayground: isPlayground, clock: clock),
    ]
  }

  /// Counts what the service tells, and logs what somebody must see.
  private static func hooks(_ metrics: Metrics, _ logger: Logger) -> ServiceHooks {
    ServiceHooks(
      paymentNoticed: { notice in
        metrics.count(notice)
        logger.log(notice)
      },
      movementSettled: { movement in
        metrics.count(movement)
        guard case .refused(let words, _) = movement.state else { return }
        logger.warning(
          "a provider refused to move money of an order", metadata: named(movement, ["reason": "\(words)"]))
      },
      movementUnknown: { movement, words in
        logger.warning(
          "it is not known whether money of an order moved; asking again",
          metadata: named(movement, ["asked": "\(movement.checks + 1)", "detail": "\(words.text)"]))
      })
  }

  private static func named(_ movement: OrderMovement, _ more: Logger.Metadata) -> Logger.Metadata {
    let name: Logger.Metadata = [
      "order_id": "\(movement.orderID)", "movement_id": "\(movement.id)", "kind": "\(movement.kind.rawValue)",
    ]
    return name.merging(more) { $1 }
  }

  /// Claims the database, with an operator's words for what may be wrong.
  package static func claim(_ service: KassaService, database: DatabaseAddress) async throws {
    do {
      try await service.claimInstallation()
    } catch InstallationMismatch.environment(let stored) {
      throw SettingsError(
        "\(database) belongs to a \(stored.rawValue) installation and cannot be used as "
          + "\(service.environment.rawValue): name another database with --database-url")
    } catch InstallationMismatch.secretKey {
      throw SettingsError(
        "the secret key is not that of \(database): \(SecretKey.place(of: database)) to the right one")
    } catch let error as StoreError {
      throw worded(error, database)
    }
  }

  /// Where the server listens: with port 0 known only once it does.
  private final class ListeningAddress: Sendable {
    private let host: String
    private let port: Atomic<Int>

    init(host: String, port: Int) {
      self.host = host.contains(":") ? "[\(host)]" : host
      self.port = Atomic(port)
    }

    var url: String { "http://\(host):\(port.load(ordering: .relaxed))" }

    func note(port: Int) { self.port.store(port, ordering: .relaxed) }
  }

  /// One JSON object, put in place whole, for the owner only.
  private static func write(_ ready: Ready, to path: String) throws {
    var members = ["url": ready.url]
    if let playground = ready.playground {
      members["merchant_id"] = playground.merchant.description
      members["api_key"] = playground.apiKey
    }
    var object: [String: Any] = members
    if ready.playground != nil { object["pid"] = Int(ProcessInfo.processInfo.processIdentifier) }
    let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
    let temporary = path + ".\(ProcessInfo.processInfo.processIdentifier)"
    guard
      FileManager.default.createFile(
        atPath: temporary, contents: data + Data("\n".utf8), attributes: [.posixPermissions: 0o600])
    else { throw SettingsError("--\(SettingName.readyFile.rawValue): \(path) cannot be written") }
    guard rename(temporary, path) == 0 else {
      throw SettingsError("--\(SettingName.readyFile.rawValue): \(path) cannot be written")
    }
  }

  /// Thousands of phones are thousands of open files; the usual soft limit is 1024.
  private static func raiseOpenFilesLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
