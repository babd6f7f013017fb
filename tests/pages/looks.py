"""What a page must look like to be shipped, asked of the page in the browser; each question returns what is wrong."""

# Every text that can be seen, with the ratio of its colour to what is behind it (WCAG 2.2, relative luminance).
FAINT = """() => {
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return [...parts.slice(0, 3).map((c) => (text.startsWith("color(") ? c * 255 : c)), parts[3] ?? 1];
  };
  const over = (top, under) => {
    const a = top[3] + under[3] * (1 - top[3]);
    return a ? [...[0, 1, 2].map((i) => (top[i] * top[3] + under[i] * under[3] * (1 - top[3])) / a), a] : [0, 0, 0, 0];
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    let colour = [0, 0, 0, 0];
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      colour = over(colour, parse(style.backgroundColor));
      if (e.localName === "svg") {
        const box = element.getBoundingClientRect();
        const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
        for (const rect of [...e.querySelectorAll("rect.graph-node")].reverse()) {
          const r = rect.getBoundingClientRect();
          if (x > r.left && x < r.right && y > r.top && y < r.bottom) colour = over(colour, parse(getComputedStyle(rect).fill));
        }
      }
      if (colour[3] > 0.99) return colour;
    }
    return over(colour, getComputedStyle(document.documentElement).colorScheme === "dark" ? [0, 0, 0, 1] : [255, 255, 255, 1]);
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const shown = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true })
    && !e.closest(".sr, script, noscript, option, [disabled]");
  const wrong = new Set();
  const judge = (element, colour, words) => {
    const behind = ground(element);
    const found = ratio(light(over(parse(colour), behind)), light(behind));
    if (found < 4.5) wrong.add(`${found.toFixed(2)} ${element.localName}.${element.getAttribute("class") ?? ""} "${words.slice(0, 30)}"`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const words = walker.currentNode.data.trim();
    const element = walker.currentNode.parentElement;
    if (!words || !shown(element)) continue;
    seen += 1;
    const style = getComputedStyle(element);
    judge(element, element.closest("svg") ? style.fill : style.color, words);
  }
  for (const field of document.querySelectorAll("input[placeholder]"))
    if (shown(field)) judge(field, getComputedStyle(field, "::placeholder").color, field.placeholder);
  return seen ? [...wrong] : ["no text at all"];
}"""

# Parts of which nobody can tell what they are: no name for those who hear the page, no label, no target.
NAMELESS = """() => {
  const wrong = [];
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push(`id ${id} twice`);
  const words = (e) => (e.getAttribute("aria-label") ?? e.textContent).trim();
  for (const e of document.querySelectorAll("a[href], button, summary"))
    if (!words(e)) wrong.push(`nameless ${e.outerHTML.slice(0, 90)}`);
  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (![...(e.labels ?? [])].some((label) => words(label))) wrong.push(`without label ${e.outerHTML.slice(0, 90)}`);
  for (const e of document.querySelectorAll("label[for]"))
    if (!document.getElementById(e.htmlFor)) wrong.push(`label for nothing ${e.htmlFor}`);
  for (const e of document.querySelectorAll("a[href^='#']"))
    if (e.hash.length > 1 && !document.getElementById(decodeURIComponent(e.hash.slice(1)))) wrong.push(`to nowhere ${e.hash}`);
  for (const e of document.querySelectorAll("table"))
    for (const row of e.tBodies[0]?.rows ?? [])
      if (e.tHead && e.tHead.rows[0].cells.length !== row.cells.length) { wrong.push(`ragged table ${row.innerText.slice(0, 60)}`); break; }
  return wrong;
}"""

# Words that cannot be read: beyond the edge of what holds them, without an ellipsis and without a bar to scroll.
CUT = """() => {
  const wrong = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".sr, svg, select")) continue;
    range.selectNodeContents(walker.currentNode);
    const right = range.getBoundingClientRect().right;
    for (let up = element; up; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (["auto", "scroll"].includes(style.overflowX) || style.textOverflow === "ellipsis") break;
      if (up !== document.documentElement && !["hidden", "clip"].includes(style.overflowX)) continue;
      // A head that is kept for those who hear the page is one pixel wide on purpose.
      if (up.clientWidth > 1 && right > up.getBoundingClientRect().right + 1) wrong.add(`${element.localName} "${element.textContent.trim().slice(0, 50)}"`);
      break;
    }
  }
  // Rows that became cards have nothing to scroll to.
  if (innerWidth < 800)
    for (const box of document.querySelectorAll(".table-stack"))
      if (box.scrollWidth > box.clientWidth) wrong.add(`table ${box.getAttribute("aria-label")} is wider than its card`);
  return [...wrong];
}"""

# Charts whose canvas has nothing but its ground on it.
UNDRAWN = """() => [...document.querySelectorAll("[data-chart]")].filter((figure) => {
  const canvas = figure.querySelector("canvas");
  if (!canvas || !canvas.width) return true;
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size < 3;
}).length"""

SYMBOLS = (
    """() => [...new Set([...document.querySelectorAll("svg use")].map((e) => e.getAttribute("href").split("#")[1]))]"""
)
