// The page of one trace: the rows in sight of a tree that may have a hundred thousand, the chosen span fetched by itself.
// The server's own table stands in the page until the tree is there, and stays where there is no script.
import { awaitMore, fetchSpan, search, startRaw } from "./trace-parts.js";
import { make, makeRow } from "./trace-rows.js";
import { Tree } from "./trace-tree.js";
import { count, duration } from "./trace-words.js";

const SPARE = 8;
const WAIT_MS = 120;
const TICKS = 4;

class TraceView {
  constructor(root) {
    const part = (name) => root.querySelector(`[data-${name}]`);
    const given = part("tv-bones");
    const { bones, scores } = JSON.parse(given.textContent);
    given.remove();
    this.parts = Object.fromEntries(
      ["tv", "tv-box", "tv-room", "tv-said", "tv-form", "tv-clear", "tv-ticks", "tv-critical", "tv-error", "tv-zoom", "tv-all", "span-detail", "trace-more"].map(
        (name) => [name, part(name)],
      ),
    );
    this.bones = bones;
    this.scores = scores;
    this.tree = new Tree(bones);
    this.failed = bones.statuses.indexOf("error");
    this.unpriced = new Set(bones.unpriced);
    this.cached = new Set(bones.cached);
    this.orphans = new Set(bones.orphans);
    this.window = [0, Math.max(bones.length_us, 1)];
    this.shown = new Map();
    const asked = new URLSearchParams(location.search).get("span");
    this.at = Math.max(bones.ids.indexOf(asked), 0);
    this.row = this.at;
    this.narrow = matchMedia("(max-width: 800px)");
    this.fits = null;
    this.found = null;
    part("tv-plain").remove();
    this.parts.tv.hidden = false;
    if (asked) this.tree.reveal(this.at);
    this.lay();
    if (asked) this.show(this.row);
    this.listen();
    this.filter();
    performance.mark("gimbal:trace-usable");
    awaitMore(this);
  }

  // ---- rows ----

  lay() {
    const { rows, depths } = this.tree.rows(this.fits);
    this.rows = rows;
    this.depths = depths;
    this.height = this.narrow.matches ? 48 : 28;
    const box = this.parts["tv-box"];
    this.parts["tv-room"].style.height = `${rows.length * this.height}px`;
    box.classList.toggle("tv-few", rows.length * this.height <= box.clientHeight && rows.length <= 14);
    this.clear();
    this.draw();
    this.ticks();
  }

  clear() {
    for (const element of this.shown.values()) element.remove();
    this.shown.clear();
  }

  draw() {
    const box = this.parts["tv-box"];
    const first = Math.max(Math.floor(box.scrollTop / this.height) - SPARE, 0);
    const last = Math.min(Math.ceil((box.scrollTop + box.clientHeight) / this.height) + SPARE, this.rows.length);
    for (const [index, element] of this.shown) {
      if (index >= first && index < last) continue;
      element.remove();
      this.shown.delete(index);
    }
    const fresh = document.createDocumentFragment();
    for (let index = first; index < last; index += 1) {
      if (this.shown.has(index)) continue;
      const element = makeRow(this, index);
      this.shown.set(index, element);
      fresh.append(element);
    }
    this.parts["tv-room"].append(fresh);
    this.point();
  }

  ticks() {
    const [low, high] = this.window;
    const marks = [];
    for (let step = 0; step <= TICKS; step += 1) {
      const at = low + ((high - low) * step) / TICKS;
      marks.push(make("span", "", at ? duration(at) : "0"));
    }
    this.parts["tv-ticks"].replaceChildren(...marks);
  }

  // ---- the chosen row ----

  indexOf(row) {
    return this.rows.indexOf(row);
  }

  // Tells which row is chosen, to eyes and to those who hear the page.
  point() {
    let chosen = "";
    for (const [index, element] of this.shown) {
      const here = this.rows[index] === this.row;
      element.setAttribute("aria-selected", here ? "true" : "false");
      if (here) chosen = element.id;
    }
    if (chosen) this.parts["tv-box"].setAttribute("aria-activedescendant", chosen);
    else this.parts["tv-box"].removeAttribute("aria-activedescendant");
  }

  show(row) {
    const index = this.indexOf(row);
    if (index < 0) return;
    const box = this.parts["tv-box"];
    const top = index * this.height;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this.height > box.scrollTop + box.clientHeight) box.scrollTop = top + this.height - box.clientHeight;
    this.draw();
  }

  choose(row) {
    this.row = row;
    this.show(row);
    this.point();
    const place = row < 0 ? this.tree.runs[-1 - row].first : row;
    if (row < 0 || place === this.at) return;
    this.at = place;
    const url = new URL(location.href);
    url.searchParams.set("span", this.bones.ids[place]);
    history.replaceState(null, "", url);
    clearTimeout(this.waits);
    this.waits = setTimeout(() => fetchSpan(this, place), WAIT_MS);
  }

  go(place) {
    this.tree.reveal(place);
    this.lay();
    this.choose(place);
  }

  fold(row, on) {
    if (row < 0) this.tree.runs[-1 - row].open = !on;
    else if (!this.tree.leaf(row)) this.tree.folded[row] = on ? 1 : 0;
    this.lay();
    this.show(this.row);
  }

  open(row) {
    return row < 0 ? this.tree.runs[-1 - row].open : !this.tree.leaf(row) && !this.tree.folded[row];
  }

  // ---- filters ----

  text() {
    return this.parts["tv-form"].elements.q.value.trim();
  }

  filter() {
    const { bones, parts } = this;
    const fields = parts["tv-form"].elements;
    const text = this.text().toLowerCase();
    const [kind, status] = [bones.kinds.indexOf(fields.kind.value), bones.statuses.indexOf(fields.status.value)];
    const exact = fields.name?.value;
    const narrowed = Boolean(text || fields.kind.value || fields.status.value || exact);
    if (!narrowed && !this.fits) {
      this.say();
      return;
    }
    this.fits = null;
    let number = 0;
    let first = -1;
    if (narrowed) {
      const words = (list) => list.map((one) => one.toLowerCase().includes(text));
      const [named, modelled, kinded] = [words(bones.names), words(bones.models), words(bones.kinds)];
      this.fits = new Uint8Array(this.tree.size);
      for (let i = 0; i < this.tree.size; i += 1) {
        if (fields.kind.value && bones.kind[i] !== kind) continue;
        if (fields.status.value && bones.status[i] !== status) continue;
        if (exact && bones.names[bones.name[i]] !== exact && bones.models[bones.model[i]] !== exact) continue;
        if (text && !named[bones.name[i]] && !modelled[bones.model[i]] && !kinded[bones.kind[i]] && !this.found?.[i]) continue;
        this.fits[i] = 1;
        number += 1;
        if (first < 0) first = i;
      }
    }
    parts["tv-clear"].hidden = !narrowed;
    this.lay();
    this.parts["tv-box"].scrollTop = 0;
    this.draw();
    this.say(narrowed ? `${count(number)} of ${count(this.tree.size)} spans` : undefined);
    if (first >= 0 && !this.fits[this.at]) this.row = first;
    this.show(this.row);
  }

  say(words) {
    this.parts["tv-said"].textContent = words ?? "";
  }

  nextFailed() {
    const { status } = this.bones;
    for (let step = 1; step <= this.tree.size; step += 1) {
      const place = (this.at + step) % this.tree.size;
      if (status[place] === this.failed) {
        this.go(place);
        return;
      }
    }
  }

  zoom() {
    const whole = [0, Math.max(this.bones.length_us, 1)];
    const zoomed = this.window[0] !== whole[0] || this.window[1] !== whole[1];
    const begun = this.bones.start[this.at];
    this.window = zoomed ? whole : [begun, begun + Math.max(this.bones.duration[this.at], 1)];
    this.parts["tv-zoom"].setAttribute("aria-pressed", String(!zoomed));
    this.parts["tv-zoom"].textContent = zoomed ? "Zoom" : "Whole time";
    this.lay();
  }

  foldAll() {
    const fold = this.parts["tv-all"].textContent === "Fold";
    this.tree.foldAll(fold);
    this.parts["tv-all"].textContent = fold ? "Unfold" : "Fold";
    if (fold) this.row = 0;
    this.lay();
    this.show(this.row);
  }

  // ---- hands ----

  listen() {
    const { parts } = this;
    const box = parts["tv-box"];
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
    this.narrow.addEventListener("change", () => this.lay());
    box.addEventListener("click", (event) => {
      const element = event.target.closest("[data-index]");
      if (!element) return;
      const row = this.rows[Number(element.dataset.index)];
      if (row < 0 || event.target.closest(".tv-fold:not(.tv-leaf)")) {
        this.row = row;
        this.fold(row, this.open(row));
      } else this.choose(row);
    });
    box.addEventListener("dblclick", (event) => {
      if (event.target.closest(".tv-lane")) this.zoom();
    });
    box.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select, textarea, [contenteditable]");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      parts["tv-form"].elements.q.focus();
    });
    for (const name of ["tv-critical", "tv-zoom", "tv-all"]) parts[name].hidden = false;
    parts["tv-all"].hidden = this.tree.size < 3;
    parts["tv-error"].hidden = this.failed < 0;
    parts["tv-critical"].addEventListener("click", () => {
      const on = parts.tv.classList.toggle("tv-critical");
      parts["tv-critical"].setAttribute("aria-pressed", String(on));
    });
    parts["tv-error"].addEventListener("click", () => this.nextFailed());
    parts["tv-zoom"].addEventListener("click", () => this.zoom());
    parts["tv-all"].addEventListener("click", () => this.foldAll());
    const form = parts["tv-form"];
    form.querySelector("[type=submit]").hidden = true;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.typed());
    parts["tv-clear"].addEventListener("click", (event) => {
      event.preventDefault();
      for (const name of ["q", "kind", "status", "name"]) if (form.elements[name]) form.elements[name].value = "";
      this.typed();
      this.tree.reveal(this.at);
      this.row = this.at;
      this.lay();
      this.show(this.row);
    });
    form.elements.q.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "ArrowDown") return;
      event.preventDefault();
      box.focus();
      if (this.rows.length) this.choose(this.row);
    });
    if (this.text()) search(this, this.text());
  }

  typed() {
    const fields = this.parts["tv-form"].elements;
    this.found = null;
    this.filter();
    const url = new URL(location.href);
    for (const name of ["q", "kind", "status", "name"]) {
      const value = fields[name]?.value.trim();
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    url.searchParams.delete("from");
    history.replaceState(null, "", url);
    clearTimeout(this.asks);
    if (this.text()) this.asks = setTimeout(() => search(this, this.text()), 2 * WAIT_MS);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(Math.floor(this.parts["tv-box"].clientHeight / this.height) - 1, 1);
    const index = Math.max(this.indexOf(this.row), 0);
    const walk = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: this.rows.length - 1 };
    if (event.key in walk) {
      const next = Math.min(Math.max(walk[event.key], 0), this.rows.length - 1);
      if (next >= 0) this.choose(this.rows[next]);
    } else if (event.key === "ArrowLeft") this.left(index);
    else if (event.key === "ArrowRight") this.right(index);
    else if (event.key === "Enter" || event.key === " ") this.enter();
    else if (event.key === "e") this.nextFailed();
    else if (event.key === "z") this.zoom();
    else return;
    event.preventDefault();
  }

  left(index) {
    if (this.open(this.row) && !this.fits) {
      this.fold(this.row, true);
      return;
    }
    for (let up = index - 1; up >= 0; up -= 1) {
      if (this.depths[up] < this.depths[index]) {
        this.choose(this.rows[up]);
        return;
      }
    }
  }

  right(index) {
    const closed = this.row < 0 ? !this.open(this.row) : !this.tree.leaf(this.row) && !this.open(this.row);
    if (closed) this.fold(this.row, false);
    else if (this.depths[index + 1] > this.depths[index]) this.choose(this.rows[index + 1]);
  }

  enter() {
    if (this.row < 0) {
      this.fold(this.row, this.open(this.row));
      return;
    }
    this.parts["span-detail"].focus();
    this.parts["span-detail"].scrollIntoView({ block: "start" });
  }
}

for (const root of document.querySelectorAll("[data-trace]")) {
  startRaw(root);
  new TraceView(root);
}
