import KassaJSON
import Testing

extension Browser {
  /// What a page does wrong by rules that can be measured (WCAG 2.2 AA, and the house's own sizes): names, labels, one
  /// first heading, contrast, sizes of text and targets, ids, and what sticks out to the side.
  func flaws() async throws -> [String] {
    try await evaluate(Self.measure).elements.compactMap(\.text)
  }

  /// Expects none.
  func expectNoFlaws(_ page: String, at location: SourceLocation = #_sourceLocation) async throws {
    let found = try await lasting { try await self.flaws() }
    #expect(found == [], "\(page)", sourceLocation: location)
  }

  private static let measure = #"""
    const flaws = [];
    const say = (what, element) => flaws.push(`${what}: ${element.outerHTML.slice(0, 140)}`);
    const root = document.querySelector("dialog[open]") ?? document.body;
    const isSeen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".unseen, [aria-hidden=true]");
    const all = [...root.querySelectorAll("*")].filter(isSeen);

    const nameOf = (element) => {
      const labelled = (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
      return (labelled || element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent || element.title || "").trim();
    };
    for (const element of all.filter((each) => each.matches("a, button, input, select, textarea, summary, [role=img]"))) {
      if (!nameOf(element)) say("has no name", element);
    }
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) flaws.push(`the id ${id} is there twice`);
    for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-controls], label[for]")) {
      for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
        for (const id of (element.getAttribute(name) ?? "").split(" ").filter(Boolean)) if (!document.getElementById(id)) say(`${name} names nothing`, element);
      }
    }
    if (root === document.body) {
      const headings = document.querySelectorAll("h1").length;
      if (headings !== 1) flaws.push(`${headings} first headings`);
      if (!document.querySelector("main")) flaws.push("no main");
      if (!document.title) flaws.push("no title");
      if (!document.documentElement.lang) flaws.push("no language");
    }
    for (const element of all.filter((each) => each.matches("[tabindex]") && each.tabIndex > 0)) say("is focused out of order", element);

    // Colours as the browser computed them, laid over each other.
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((value, index) => value * a + below[index] * (1 - a));
    const backgroundOf = (element) => {
      const layers = [];
      for (let each = element; each; each = each.parentElement) layers.push(rgba(getComputedStyle(each).backgroundColor));
      return layers.reverse().reduce((below, layer) => over(layer, below), rgba("Canvas").slice(0, 3));
    };
    const luminance = (colour) => {
      const [r, g, b] = colour.map((value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    for (const element of all) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!hasText || element.closest(":disabled, svg, option")) continue;
      const style = getComputedStyle(element);
      const size = parseFloat(style.fontSize);
      if (size < 14.9) say(`has text of ${size} px`, element);
      const below = backgroundOf(element);
      const [light, dark] = [luminance(over(rgba(style.color), below)), luminance(below)].sort((a, b) => b - a);
      const contrast = (light + 0.05) / (dark + 0.05);
      const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (contrast < (isLarge ? 3 : 4.5)) say(`has a contrast of ${contrast.toFixed(2)}`, element);
    }
    for (const element of all.filter((each) => each.matches("button, input, select, textarea, summary, a.button"))) {
      const { width, height } = element.getBoundingClientRect();
      if (width > 0 && (width < 23.5 || height < 23.5) && !element.closest("label")) say(`is a target of ${width.toFixed()} × ${height.toFixed()}`, element);
    }
    if (document.documentElement.scrollWidth > innerWidth + 1) {
      const wide = all.find((element) => element.getBoundingClientRect().right > innerWidth + 1);
      say(`${document.documentElement.scrollWidth} px wide on a screen of ${innerWidth}`, wide ?? document.body);
    }
    return flaws.slice(0, 20);
    """#
}
