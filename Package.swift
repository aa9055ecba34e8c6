// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours: warnings are errors. Undeclared imports are errors too, by a flag in the Makefile.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "kassa",
  platforms: [.macOS(.v15)],
  products: [.executable(name: "kassa", targets: ["kassa"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .target(name: "KassaDomain", swiftSettings: strict),
    .target(name: "KassaJSON", swiftSettings: strict),
    .target(name: "KassaStore", dependencies: ["KassaDomain"], swiftSettings: strict),
    // What both stores keep as JSON in one column.
    .target(name: "KassaStoreText", dependencies: ["KassaDomain", "KassaJSON", "KassaStore"], swiftSettings: strict),
    .target(
      name: "KassaSQLite",
      dependencies: [
        "KassaDomain", "KassaStore", "KassaStoreText",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ], swiftSettings: strict),
    .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .target(
      name: "KassaPostgres", dependencies: ["CLibPQ", "KassaDomain", "KassaStore", "KassaStoreText"],
      swiftSettings: strict),
    .target(
      name: "KassaService",
      dependencies: ["KassaDomain", "KassaStore", .product(name: "Crypto", package: "swift-crypto")],
      swiftSettings: strict),
    .target(
      name: "KassaProviders",
      dependencies: [
        "KassaDomain", "KassaJSON", "KassaService", "KassaStore",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ], swiftSettings: strict),
    .systemLibrary(name: "CQREncode", pkgConfig: "libqrencode", providers: [.apt(["libqrencode-dev"])]),
    .executableTarget(name: "embed-files", swiftSettings: strict),
    .plugin(name: "EmbedFiles", capability: .buildTool(), dependencies: ["embed-files"]),
    .target(name: "KassaWeb", exclude: ["package.json", "site"], swiftSettings: strict, plugins: ["EmbedFiles"]),
    .target(
      name: "KassaAPI",
      dependencies: [
        "CQREncode", "KassaDomain", "KassaJSON", "KassaService", "KassaStore", "KassaWeb",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Yams", package: "Yams"),
      ], exclude: ["openapi.yaml"], swiftSettings: strict, plugins: ["EmbedFiles"]),
    .target(
      name: "KassaDelivery",
      dependencies: [
        "KassaDomain", "KassaService", "KassaStore",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),
    .target(
      name: "KassaServer",
      dependencies: [
        "KassaAPI", "KassaDelivery", "KassaDomain", "KassaJSON", "KassaPostgres", "KassaProviders", "KassaSQLite",
        "KassaService", "KassaStore",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),
    .executableTarget(
      name: "kassa",
      dependencies: [
        "KassaDomain", "KassaEmulators", "KassaJSON", "KassaSQLite", "KassaServer", "KassaService", "KassaStore",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "NIOCore", package: "swift-nio"),
      ], swiftSettings: strict),

    // The other side of each provider, over HTTP: for the playground, for tests and for `kassa emulate`.
    .target(
      name: "KassaEmulators",
      dependencies: [
        "KassaDomain", "KassaJSON",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),

    // The port's rules as one suite, which the test target of every adapter runs.
    .target(name: "StoreConformance", dependencies: ["KassaDomain", "KassaStore"], swiftSettings: strict),

    .testTarget(name: "KassaDomainTests", dependencies: ["KassaDomain"], swiftSettings: strict),
    .testTarget(name: "KassaJSONTests", dependencies: ["KassaJSON"], swiftSettings: strict),
    .testTarget(
      name: "KassaSQLiteTests",
      dependencies: [
        "KassaDomain", "KassaSQLite", "KassaStore", "StoreConformance",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "GRDB", package: "GRDB.swift"),
      ], swiftSettings: strict),
    // Databases for tests: files, or those of a PostgreSQL of the test run's own.
    .target(
      name: "KassaTestDatabases",
      dependencies: [
        "CLibPQ", "KassaDomain", "KassaPostgres", "KassaSQLite", "KassaService", "KassaStore",
        .product(name: "GRDB", package: "GRDB.swift"),
      ],
      path: "Tests/KassaTestDatabases", swiftSettings: strict),
    .testTarget(
      name: "KassaPostgresTests",
      dependencies: [
        "KassaDomain", "KassaPostgres", "KassaStore", "KassaTestDatabases", "StoreConformance",
        .product(name: "Crypto", package: "swift-crypto"),
      ], swiftSettings: strict),
    .testTarget(
      name: "KassaServiceTests",
      dependencies: [
        "KassaDomain", "KassaService", "KassaStore", "KassaTestDatabases", "StoreConformance",
        .product(name: "GRDB", package: "GRDB.swift"),
      ], swiftSettings: strict),
    .testTarget(
      name: "KassaSessionTests",
      dependencies: [
        "KassaDelivery", "KassaDomain", "KassaProviders", "KassaService", "KassaStore", "KassaTestDatabases",
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: strict),
    .testTarget(
      name: "KassaProviderTests",
      dependencies: [
        "KassaDomain", "KassaEmulators", "KassaJSON", "KassaProviders", "KassaSQLite", "KassaService", "KassaStore",
        "KassaTestDatabases",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),
    .testTarget(
      name: "KassaDeliveryTests",
      dependencies: [
        "KassaAPI", "KassaDelivery", "KassaDomain", "KassaJSON", "KassaServer", "KassaService", "KassaStore",
        "KassaTestDatabases",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),

    // Starts the built program and speaks HTTP with it: for test targets only.
    .target(
      name: "KassaTestSupport",
      dependencies: [
        "KassaJSON", "KassaTestDatabases",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ], path: "Tests/KassaTestSupport", swiftSettings: strict),
    .testTarget(
      name: "KassaAPITests",
      dependencies: [
        "KassaAPI", "KassaDomain", "KassaJSON", "KassaTestSupport", "kassa", .product(name: "Yams", package: "Yams"),
      ], swiftSettings: strict),
    .testTarget(
      name: "EndToEndTests",
      dependencies: ["KassaJSON", "KassaTestDatabases", "KassaTestSupport", "StoreConformance", "kassa"],
      swiftSettings: strict),
    // Drives a real browser: Debian's chromium and chromium-driver.
    .testTarget(
      name: "KassaWebTests", dependencies: ["KassaDomain", "KassaJSON", "KassaTestSupport", "kassa"],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
