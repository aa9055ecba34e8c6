import KassaDomain

/// Which part of a list is wanted. Lists run newest first; the identifier breaks ties (contract, section 1, "Paging").
package struct PageRequest: Equatable, Sendable {
  /// From 0. Counts whole pages of `size` to skip; 0 when `after` is given.
  package let number: Int
  package let size: Int
  /// Continue right after this place.
  package let after: PagePosition?

  package init(number: Int, size: Int, after: PagePosition? = nil) {
    self.number = number
    self.size = size
    self.after = after
  }
}

/// A place in a list: that of the element with this time and identifier.
package struct PagePosition: Equatable, Sendable {
  package let createdAt: Timestamp
  package let id: SubjectID

  package init(createdAt: Timestamp, id: SubjectID) {
    self.createdAt = createdAt
    self.id = id
  }
}

/// One page. Content and total are of one snapshot.
package struct Page<Element: Sendable>: Sendable {
  package let content: [Element]
  /// Exact number of elements that match, over all pages.
  package let totalElements: Int64
  /// Whether an element follows the last one here.
  package let hasMore: Bool

  package init(content: [Element], totalElements: Int64, hasMore: Bool) {
    self.content = content
    self.totalElements = totalElements
    self.hasMore = hasMore
  }

  package func map<Other: Sendable>(_ transform: (Element) throws -> Other) rethrows -> Page<Other> {
    Page<Other>(content: try content.map(transform), totalElements: totalElements, hasMore: hasMore)
  }
}
