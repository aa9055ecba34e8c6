import Foundation
import KassaJSON
import KassaTestSupport
import Testing

extension EndToEnd {
  /// What operators' tools ask.
  struct ProbeTests {
    @Test(.timeLimit(.minutes(2))) func healthAndReadinessNeedNoKey() async throws {
      try await withServer("playground") { server in
        let health = try await server.send(HTTPCall("GET", "/health"))
        #expect(health.status == 200 && health.json == ["status": "ok"])
        let ready = try await server.send(HTTPCall("GET", "/ready"))
        #expect(ready.status == 200 && ready.json == ["status": "ready"])
        #expect(ready.header("cache-control") == "no-store")
      }
    }

    /// The handbook says what to do about each metric, and has none that there is not.
    @Test(.timeLimit(.minutes(2))) func everyMetricIsInTheHandbook() async throws {
      let handbook = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/operating.md")
      let words = try String(contentsOf: handbook, encoding: .utf8)
      let rows = words.split(separator: "\n").filter { $0.hasPrefix("| `kassa_") }
      let described = rows.flatMap { row in
        row.split(separator: "|").first?.matches(of: /`(kassa_[a-z_]+)`/).map { String($0.output.1) } ?? []
      }
      try await withServer("serve") { server in
        let text = try await server.send(HTTPCall("GET", "/metrics")).text
        let told = text.matches(of: /TYPE (kassa_[a-z_]+)/).map { String($0.output.1) }
        #expect(told.count > 20)
        #expect(Set(told) == Set(described) && Set(described).count == described.count)
      }
    }

    /// A certificate ends, and then nobody can pay: the playground's own for Swish, two years after the start.
    @Test(.timeLimit(.minutes(2))) func theEndOfCredentialsIsTold() async throws {
      try await withServer("playground") { server in
        let metrics = try Exposition(try await server.send(HTTPCall("GET", "/metrics")).text)
        let end = try #require(metrics.value("kassa_payment_credentials_end_timestamp_seconds", [:]))
        let days = (end - Date().timeIntervalSince1970) / 86_400
        #expect(days > 700 && days < 740)
        func doctor() async throws -> Substring? {
          try await server.administer(["doctor"]).output.split(separator: "\n")
            .first { $0.contains("credentials that end") }
        }
        let line = try await doctor()
        #expect(line?.hasPrefix("ok ") == true && line?.contains("SWISH of merchant \(server.merchantID)") == true)
        let removed = try await server.administer([
          "payment-methods", "remove", "--merchant", server.merchantID, "--method", "SWISH",
        ])
        #expect(removed.isSuccess, "\(removed)")
        #expect(try await doctor()?.hasSuffix("none") == true)
      }
    }

    /// Anybody may ask whether the server is ready: it costs a commit a second, however often it is asked.
    @Test(.timeLimit(.minutes(2))) func readinessCostsACommitASecond() async throws {
      try await withServer("serve") { server in
        func commits() async throws -> Double {
          let metrics = try Exposition(try await server.send(HTTPCall("GET", "/metrics")).text)
          return try #require(metrics.value("kassa_store_commits_total", [:]))
        }
        let before = try await commits()
        let connection = try await server.connect()
        let start = ContinuousClock.now
        for _ in 0..<200 { #expect(try await connection.send(HTTPCall("GET", "/ready")).status == 200) }
        let took = ContinuousClock.now - start
        await connection.close()
        let grown = try await commits() - before
        #expect(grown >= 1 && grown <= Double(took.components.seconds) + 2, "\(grown) commits in \(took)")
      }
    }

    @Test(.timeLimit(.minutes(2))) func metricsAreWellFormedAndTrue() async throws {
      try await withServer("playground") { server in
        #expect(try await server.get("/ipp/v1/enrollments").status == 200)
        #expect(try await server.post("/ipp/v1/enrollments", [:]).status == 201)
        #expect(try await server.get("/ipp/v1/enrollments/x").status == 404)
        #expect(try await server.get("/nowhere").status == 404)
        let answer = try await server.send(HTTPCall("GET", "/metrics"))
        #expect(answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8")
        let first = try Exposition(answer.text)
        #expect(first.value("kassa_http_requests_total", ["operation": "createEnrollment", "status": "201"]) == 1)
        #expect(first.value("kassa_http_requests_total", ["operation": "unmatched", "status": "404"]) == 1)
        #expect(first.value("kassa_problems_total", ["code": "not_found"]) == 2)
        #expect(first.value("kassa_open_connections", [:]) == 1)
        #expect(first.value("kassa_enrollment_codes_live", [:]) == 1)
        #expect(
          first.value("kassa_http_request_duration_seconds_count", ["operation": "listEnrollments"]) == 1)

        #expect(try await server.get("/ipp/v1/enrollments").status == 200)
        let second = try Exposition(try await server.send(HTTPCall("GET", "/metrics")).text)
        for sample in first.samples where first.type(of: sample.name) != "gauge" {
          #expect((second.value(sample.name, sample.labels) ?? -1) >= sample.value, "\(sample)")
        }
        #expect(second.value("kassa_http_requests_total", ["operation": "listEnrollments", "status": "200"]) == 2)
        #expect(!answer.text.contains(server.merchantID) && !answer.text.contains(server.apiKey))
      }
    }

    /// The reader of metrics itself: what it must not take.
    @Test func malformedMetricsAreNoticed() {
      let help = "# HELP a b\n# TYPE a counter\n"
      let histogram = "# HELP h b\n# TYPE h histogram\n"
      #expect(throws: Never.self) { try Exposition(help + "a{x=\"1\\n\\\"\\\\\"} 1\na 2.5e-07\n") }
      for text in [
        "a 1\n", "# TYPE a counter\na 1\n", "# HELP a b\na 1\n", help + "b 1\n", help + "a 1", help + "a\n",
        help + "a one\n", help + "a{x=1} 1\n", help + "a{x=\"1\"\n", help + "a 1\na 2\n", help + help + "a 1\n",
        help + "a -1\n", "# HELP a b\n# TYPE a colour\na 1\n", help + "a{x=\"1\",x=\"2\"} 1\n", help + "\na 1\n",
        help + "a{9=\"1\"} 1\n", help + "a 1\n# HELP b b\n# TYPE b gauge\nb 1\na{x=\"1\"} 1\n",
        histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"+Inf\"} 1\nh_count 1\n", histogram + "h 1\n",
      ] {
        #expect(throws: Exposition.Malformed.self, "\(text)") { try Exposition(text) }
      }
    }
  }
}

/// A strict reader of Prometheus' text format, version 0.0.4: each family begins with HELP and TYPE, its samples follow
/// together, none twice, and histograms are cumulative and whole.
struct Exposition {
  struct Malformed: Error, CustomStringConvertible {
    let description: String
  }

  struct Sample {
    let name: String
    let labels: [String: String]
    let value: Double
  }

  private(set) var samples: [Sample] = []
  private var types: [String: String] = [:]
  private var helped: Set<String> = []

  init(_ text: String) throws {
    guard text.hasSuffix("\n") else { throw Malformed(description: "the last line does not end") }
    var current = ""
    var closed: Set<String> = []
    var seen: Set<[String]> = []
    for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
      if line.hasPrefix("# HELP ") {
        guard words.count == 4, Self.isName(words[2]), helped.insert(words[2]).inserted else { throw Self.bad(line) }
        continue
      }
      if line.hasPrefix("# TYPE ") {
        guard words.count == 4, helped.contains(words[2]), types[words[2]] == nil,
          ["counter", "gauge", "histogram", "summary", "untyped"].contains(words[3])
        else { throw Self.bad(line) }
        types[words[2]] = words[3]
        continue
      }
      let sample = try Self.sample(line)
      guard let family = family(of: sample.name) else { throw Self.bad(line) }
      if family != current {
        guard closed.insert(family).inserted else { throw Self.bad(line) }
        current = family
      }
      guard seen.insert([sample.name] + sample.labels.map { "\($0.key)=\($0.value)" }.sorted()).inserted,
        types[family] == "gauge" || sample.value >= 0
      else { throw Self.bad(line) }
      samples.append(sample)
    }
    for (name, type) in types where type == "histogram" { try checkHistogram(name) }
  }

  func value(_ name: String, _ labels: [String: String]) -> Double? {
    samples.first { $0.name == name && $0.labels == labels }?.value
  }

  func type(of name: String) -> String? { family(of: name).flatMap { types[$0] } }

  private func family(of name: String) -> String? {
    for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
      let base = String(name.dropLast(suffix.count))
      if types[base] == "histogram" { return base }
    }
    return types[name].flatMap { $0 == "histogram" ? nil : name }
  }

  private func checkHistogram(_ name: String) throws {
    func without(_ sample: Sample) -> [String: String] { sample.labels.filter { $0.key != "le" } }
    let ofFamily = samples.filter { family(of: $0.name) == name }
    for (labels, series) in Dictionary(grouping: ofFamily, by: without) {
      let buckets = series.filter { $0.name == name + "_bucket" }
      let bounds = buckets.compactMap { $0.labels["le"].flatMap { $0 == "+Inf" ? .infinity : Double($0) } }
      let counts = buckets.map(\.value)
      guard bounds.count == buckets.count, bounds == Set(bounds).sorted(), bounds.last == .infinity,
        counts == counts.sorted(), counts.last == value(name + "_count", labels), value(name + "_sum", labels) != nil
      else { throw Malformed(description: "the histogram \(name) \(labels) is not whole") }
    }
  }

  private static func sample(_ line: Substring) throws -> Sample {
    var rest = line
    let name = String(rest.prefix { $0 != "{" && $0 != " " })
    rest = rest.dropFirst(name.count)
    var labels: [String: String] = [:]
    if rest.hasPrefix("{") {
      rest = rest.dropFirst()
      while !rest.hasPrefix("}") {
        let label = String(rest.prefix { $0 != "=" })
        rest = rest.dropFirst(label.count)
        guard isName(label), rest.hasPrefix("=\"") else { throw bad(line) }
        rest = rest.dropFirst(2)
        var value = ""
        while let character = rest.popFirst(), character != "\"" {
          guard character == "\\" else {
            value.append(character)
            continue
          }
          switch rest.popFirst() {
          case "n": value.append("\n")
          case "\\": value.append("\\")
          case "\"": value.append("\"")
          default: throw bad(line)
          }
        }
        guard labels.updateValue(value, forKey: label) == nil else { throw bad(line) }
        if rest.hasPrefix(",") { rest = rest.dropFirst() } else if !rest.hasPrefix("}") { throw bad(line) }
      }
      rest = rest.dropFirst()
    }
    guard isName(name), rest.hasPrefix(" "), let value = Double(rest.dropFirst()) else { throw bad(line) }
    return Sample(name: name, labels: labels, value: value)
  }

  private static func isName(_ text: String) -> Bool { text.wholeMatch(of: /[a-zA-Z_:][a-zA-Z0-9_:]*/) != nil }

  private static func bad(_ line: Substring) -> Malformed { Malformed(description: String(line)) }
}
