/// Positions in the event log, in an order that no late commit disturbs.
///
/// A position is the transaction's number (64 bits, never repeated in a cluster) and the event's number within the
/// transaction, with some places left after each: `(transaction + offset) << 20 | number << 4`. Readers look only below
/// `horizon`, that of the oldest transaction that is still under way: whatever commits later has a position above.
///
/// A transaction may append to a subject whose event before came from a younger transaction, which committed first. Then
/// the position is the next one after that event's: above the transaction's own, so just as safe, and in the subject's
/// order. There are fifteen such places; who wants more has its transaction run again.
///
/// The offset is 0 until the database is moved to another cluster, whose numbers may be lower: then it makes new
/// positions follow the old ones (`Migrations.alignEventClock`).
enum EventClock {
  /// Leaves 43 bits for transactions: almost three centuries of a thousand a second.
  static let transactionShift = 20
  /// Leaves 65,536 events to a transaction.
  static let numberShift = 4
  static let numbersMax: Int64 = 1 << (20 - 4)

  /// The position of an event of this transaction, from parameters with these numbers: the event's number within the
  /// transaction, its merchant, its subject, and its sequence.
  static func position(number: Int, merchant: Int, subject: Int, sequence: Int) -> String {
    """
    greatest(
    ((pg_current_xact_id()::text::bigint + (SELECT xid_offset FROM event_clock)) << \(transactionShift))
    + ($\(number)::bigint << \(numberShift)),
    1 + (SELECT position FROM events
    WHERE merchant_id = $\(merchant) AND subject_id = $\(subject) AND sequence = $\(sequence)::bigint - 1))
    """
  }

  /// Positions below it are final.
  static let horizon = """
    (SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + xid_offset) << \(transactionShift)
    FROM event_clock)
    """
}
