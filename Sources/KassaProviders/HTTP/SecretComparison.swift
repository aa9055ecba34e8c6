/// Whether two texts are the same bytes; takes the same time for any two of one length, so that a secret cannot be found
/// out piece by piece.
package func sameSecret(_ left: String, _ right: String) -> Bool {
  let (left, right) = (Array(left.utf8), Array(right.utf8))
  guard left.count == right.count else { return false }
  return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
}
