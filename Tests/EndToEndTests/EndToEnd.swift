import Testing

/// The real program as a process. One after the other: several of these tests need the machine for themselves.
@Suite(.serialized) enum EndToEnd {}
