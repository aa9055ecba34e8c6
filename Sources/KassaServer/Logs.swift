import Foundation
import KassaAPI
import KassaDomain
import KassaJSON
import KassaService
import KassaStore
import Logging
import Synchronization

/// How log lines look and which there are.
package struct LogSettings: Sendable {
  package var level: Logger.Level
  package var isJSON: Bool

  package init(_ source: SettingsSource) throws {
    level = try source.value(
      .logLevel, default: .info,
      allowed: "one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))"
    ) { Logger.Level(rawValue: $0) }
    let format = try source.value(.logFormat, default: "auto", allowed: "auto, json or text") {
      ["auto", "json", "text"].contains($0) ? $0 : nil
    }
    isJSON = format == "json" || (format == "auto" && isatty(STDERR_FILENO) == 0)
  }
}

/// Writes one line a message to standard error: JSON for machines, text for people.
struct LineLogHandler: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level
  let label: String
  let isJSON: Bool

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var all = event.metadata ?? [:]
    if !metadata.isEmpty { all.merge(metadata) { given, _ in given } }
    let fields = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
    let message = "\(event.message)"
    var line = isJSON ? json(event.level, message, fields) : Array(text(event.level, message, fields).utf8)
    line.append(UInt8(ascii: "\n"))
    line.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  private func json(_ level: Logger.Level, _ message: String, _ fields: [(String, String)]) -> [UInt8] {
    var writer = JSONWriter()
    writer.object { object in
      object.member("time", Self.now)
      object.member("level", level.rawValue)
      object.member("logger", label)
      object.member("message", message)
      for (name, value) in fields { object.member(dynamicName: name, value) }
    }
    return writer.bytes
  }

  private func text(_ level: Logger.Level, _ message: String, _ fields: [(String, String)]) -> String {
    let details = fields.map { " \($0)=\(Self.oneLine($1))" }.joined()
    return "\(Self.now) \(level.rawValue.uppercased()) \(Self.oneLine(message))\(details)"
  }

  /// Control characters would let a caller forge lines.
  private static func oneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0 }))
  }

  private static var now: String { SystemClock.now().description }
}

/// The machine's wall clock.
package enum SystemClock {
  @Sendable package static func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}

extension LogSettings {
  /// Logs from `level` on, or from the set level if that is higher.
  package func logger(_ label: String, from level: Logger.Level = .trace) -> Logger {
    let (level, isJSON) = (max(level, self.level), isJSON)
    return Logger(label: label) { LineLogHandler(logLevel: level, label: $0, isJSON: isJSON) }
  }
}

extension Logger {
  /// The line of one answered request. Quiet for what tools ask all the time.
  func log(_ record: RequestRecord) {
    let isProbe = ["getHealth", "getReadiness", "getMetrics"].contains(record.operationID)
    let level: Logger.Level = record.status >= 500 ? .error : isProbe ? .debug : .info
    guard level >= logLevel else { return }
    var metadata: Logger.Metadata = [
      "request_id": "\(record.requestID)", "method": "\(record.method)", "route": "\(record.route)",
      "status": "\(record.status)", "duration_ms": "\(Self.milliseconds(record.durationNanoseconds))",
    ]
    if let merchant = record.merchant { metadata["merchant_id"] = "\(merchant)" }
    if let problem = record.problem { metadata["problem"] = "\(problem)" }
    if let detail = record.operatorDetail { metadata["detail"] = "\(detail.text)" }
    log(level: level, "request", metadata: metadata)
  }

  /// The line of what those who run Kassa should hear of an attempt. An outcome alone is none: it is in the request's line
  /// and in the metrics.
  func log(_ notice: PaymentNotice) {
    let (level, message, detail): (Logger.Level, Logger.Message, OperatorDetail?) =
      switch notice.what {
      case .outcome: (.trace, "an attempt to pay has an outcome", nil)
      case .unknown(let words): (.warning, "the outcome of an attempt to pay is not known; asking again", words)
      case .settled: (.notice, "the outcome of an attempt to pay is known now", nil)
      case .givenUp: (.error, "a day without an outcome: the session was ended; asking on", nil)
      case .unverified(let words): (.notice, "an attempt that was denied could not be verified; asking again", words)
      case .lateMoney: (.warning, "money came after the session's end; giving it back", nil)
      case .givenBack: (.notice, "money that came too late was given back", nil)
      case .givingBack: (.info, "money that came too late is on its way back", nil)
      case .cameBack(let words):
        (.error, "money that was given back came back; giving it back again, but look at it", words)
      case .reversalRefused(let words):
        (.error, "the provider refuses to give money back that came too late; asking again, but look at it", words)
      case .reversalUnknown(let words):
        (.warning, "it is not known whether late money was given back; asking again", words)
      }
    let payment = notice.payment
    var metadata: Logger.Metadata = [
      "payment_id": "\(payment.id)", "session_id": "\(payment.sessionID)", "merchant_id": "\(payment.merchantID)",
      "method": "\(payment.method.rawValue)", "state": "\(payment.state.rawValue)", "asked": "\(payment.checks + 1)",
    ]
    if let reason = payment.failureReason { metadata["failure_reason"] = "\(reason.rawValue)" }
    if let detail { metadata["detail"] = "\(detail.text)" }
    log(level: level, message, metadata: metadata)
  }

  private static func milliseconds(_ nanoseconds: Int64) -> String {
    let microseconds = nanoseconds / 1000
    let fraction = String(microseconds % 1000)
    return "\(microseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
  }
}
