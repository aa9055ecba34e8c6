import KassaJSON
import Testing

/// What a page is pressed with: a thumb, as at the till, or a pointer, as at a desk.
enum Hand {
  case thumb, pointer

  /// The smallest side of what is pressed. On a narrow screen, what was made for a pointer is pressed with a finger.
  var targetPixelsMin: (wide: Int64, narrow: Int64) {
    switch self {
    case .thumb: (48, 48)
    case .pointer: (24, 36)
    }
  }
}

extension Browser {
  /// Holds what is on the screen, or the open dialog, against WCAG 2.2, level AA, as far as a program can tell, and the
  /// house's own sizes: names, labels, landmarks, headings, contrast, sizes of text and targets, texts that are cut off,
  /// and that nothing reaches beyond the side. Each flaw is an issue, which names the `page`.
  func audit(
    _ page: String? = nil, for hand: Hand = .thumb, at location: SourceLocation = #_sourceLocation
  ) async throws {
    let (wide, narrow) = hand.targetPixelsMin
    let flaws = try await lasting {
      try await run(auditScript, [.integer(wide), .integer(narrow)]).elements.compactMap(\.text)
    }
    let place =
      try await value("location.pathname + ' ' + (document.querySelector('main')?.className ?? '')").text ?? ""
    for flaw in flaws { Issue.record("\(page ?? place): \(flaw)", sourceLocation: location) }
  }

  /// Walks with Tab from the first that can have the focus; answers what had the focus, in order. Where the focus cannot be seen, or lies
  /// under something else, is an issue.
  func focusOrder(stepsMax: Int = 40, at location: SourceLocation = #_sourceLocation) async throws -> [String] {
    let tab = "\u{E004}"
    // Only after a key was pressed does a browser show where a script put the focus.
    try await press(tab)
    try await run("scrollTo(0, 0); document.querySelector('a[href], button, input, select, textarea').focus()")
    var order: [String] = []
    for step in 0..<stepsMax {
      if step > 0 { try await press(tab) }
      let found = try await run(focusScript)
      guard let name = found["name"]?.text, name != order.first else { break }
      if let flaw = found["flaw"]?.text { Issue.record("\(name): \(flaw)", sourceLocation: location) }
      order.append(name)
    }
    return order
  }
}

private let focusScript = """
  const element = document.activeElement;
  if (!element || element === document.body) return { name: null };
  const name = (element.ariaLabel || element.innerText || element.id || element.tagName).trim().replace(/\\s+/g, " ");
  const shown = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const onTop = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  const sibling = element.nextElementSibling ? getComputedStyle(element.nextElementSibling) : null;
  const isSeen = shown.outlineStyle !== "none" || sibling?.outlineStyle === "solid";
  const isFree = onTop && (element === onTop || element.contains(onTop) || element.parentElement.contains(onTop));
  return { name, flaw: !isSeen ? "the focus cannot be seen" : !isFree ? "the focus is covered" : null };
  """

private let auditScript = """
  const [wideTargetMin, narrowTargetMin] = arguments;
  const targetMin = innerWidth < 600 ? narrowTargetMin : wideTargetMin;
  const textMin = 16;
  const flaws = [];
  const describe = (e) => `<${e.tagName.toLowerCase()} class="${e.getAttribute("class") ?? ""}"> ${(e.innerText ?? "").trim().slice(0, 40)}`;
  const scope = document.querySelector("dialog[open]") ?? document.body;
  const isUnseen = (e) => Boolean(e.closest(".unseen")) || getComputedStyle(e).clipPath === "inset(50%)";
  const isVisible = (e) => e.checkVisibility({ opacityProperty: false, visibilityProperty: true }) && e.getClientRects().length > 0;
  const all = [...scope.querySelectorAll("*")].filter(isVisible);

  const nameOf = (e) => {
    const by = e.getAttribute("aria-labelledby");
    if (by) return by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const labels = [...(e.labels ?? [])].map((label) => label.textContent).join(" ");
    return (e.getAttribute("aria-label") || labels || (e.matches("input, select, textarea") ? "" : e.textContent) || e.getAttribute("alt") || e.getAttribute("title") || "").trim();
  };

  if (all.some((e) => e.tabIndex > 0)) flaws.push("something takes the focus out of order");
  if (!document.documentElement.lang) flaws.push("the page has no language");
  if (!document.title.trim()) flaws.push("the page has no title");
  if (scope === document.body) {
    const mains = all.filter((e) => e.matches("main"));
    if (mains.length !== 1) flaws.push(`there are ${mains.length} main parts`);
    const firsts = all.filter((e) => e.matches("h1"));
    if (firsts.length !== 1) flaws.push(`there are ${firsts.length} headings of the first level`);
  } else if (!nameOf(scope)) flaws.push("the dialog has no name");
  let level = scope === document.body ? 0 : 1;
  for (const heading of all.filter((e) => e.matches("h1, h2, h3, h4, h5, h6"))) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) flaws.push(`the heading jumps from ${level} to ${next}: ${describe(heading)}`);
    level = next;
  }
  const ids = new Map();
  for (const e of document.querySelectorAll("[id]")) ids.set(e.id, (ids.get(e.id) ?? 0) + 1);
  for (const [id, count] of ids) if (count > 1) flaws.push(`the id ${id} is there ${count} times`);
  for (const e of all) {
    for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
      for (const id of (e.getAttribute(name) ?? "").split(" ").filter(Boolean)) if (!ids.has(id)) flaws.push(`${name} names ${id}, which is not there: ${describe(e)}`);
    }
  }

  for (const e of all) {
    const isControl = e.matches("button, a[href], input, select, textarea, summary, [role=button], [role=switch], [role=tab], [tabindex='0']");
    if (isControl && !nameOf(e)) flaws.push(`it has no name: ${describe(e)}`);
    if (e.matches("img:not([alt])")) flaws.push(`a picture has no text: ${e.src}`);
    if (e.matches("svg") && e.getAttribute("aria-hidden") !== "true" && !e.closest("[aria-hidden=true]") && !nameOf(e)) flaws.push(`a drawing is neither named nor hidden: ${describe(e.parentElement)}`);
    if (e.matches("[role=img]") && !nameOf(e)) flaws.push(`a picture has no name: ${describe(e)}`);
    if (e.matches("ul, ol") && [...e.children].some((child) => !child.matches("li, script, template"))) flaws.push(`a list holds what is no item: ${describe(e)}`);
    if (isControl && e.closest("[aria-hidden=true]")) flaws.push(`it can have the focus and is hidden: ${describe(e)}`);
    if (isControl && !isUnseen(e) && !e.matches("p a, dd a, td a, a.inline, label input, pre, code")) {
      const box = e.getBoundingClientRect();
      if (Math.round(box.width) < targetMin || Math.round(box.height) < targetMin) flaws.push(`it is ${Math.round(box.width)} by ${Math.round(box.height)} pixels: ${describe(e)}`);
    }
  }

  // Contrast and size of each text, against what is painted under it.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const painted = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const layer = colour(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    let result = colour(getComputedStyle(document.documentElement).colorScheme.includes("dark") ? "#000" : "#fff");
    for (const layer of layers.reverse()) result = over(layer, result);
    return result;
  };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => { const v = c[i] / 255; return sum + share * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  for (const e of all) {
    const own = [...e.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()).map((node) => node.data.trim()).join(" ");
    if (!own || isUnseen(e) || e.closest(":disabled, option, svg")) continue;
    const style = getComputedStyle(e);
    const pixels = parseFloat(style.fontSize);
    if (pixels < textMin) flaws.push(`the text has ${pixels} pixels: ${own.slice(0, 40)}`);
    const under = painted(e);
    const ratio = contrast(over(colour(style.color), under), under);
    const isLarge = pixels >= 24 || (pixels >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) flaws.push(`the contrast is ${ratio.toFixed(2)}: ${own.slice(0, 40)} (${style.color} on ${under.slice(0, 3).map(Math.round)})`);
  }
  for (const e of all.filter((e) => e.matches("input, textarea, select, .button:not(.plain):not(.primary)"))) {
    const border = getComputedStyle(e);
    if (e.matches("[type=radio], [type=checkbox], :disabled, [aria-disabled=true]") || border.borderTopWidth === "0px") continue;
    const ratio = contrast(over(colour(border.borderTopColor), painted(e.parentElement)), painted(e.parentElement));
    if (ratio < 3) flaws.push(`the edge has a contrast of ${ratio.toFixed(2)}: ${describe(e)}`);
  }

  for (const e of all) {
    const { overflowX, textOverflow } = getComputedStyle(e);
    if (isUnseen(e) || !e.innerText?.trim() || (overflowX !== "hidden" && overflowX !== "clip" && textOverflow !== "ellipsis")) continue;
    if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0) flaws.push(`a text is cut off: ${describe(e)}`);
  }
  // A phone shows a page that is too wide smaller, and calls that its width: what was laid out for counts.
  const room = document.documentElement.clientWidth;
  const beyond = document.documentElement.scrollWidth - room;
  // By one, a fraction of a pixel is rounded up.
  if (beyond > 1) {
    const wide = all.find((e) => e.getBoundingClientRect().right > room + 1);
    flaws.push(`the page is ${beyond} pixels too wide: ${wide ? describe(wide) : ""}`);
  }
  return flaws.slice(0, 20);
  """
