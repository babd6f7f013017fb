// Finding traces: parts that are fetched after the page, a stretch of time chosen by dragging, and more turns of a talk.
import { startTail } from "./tail.js";

const fetched = async (address) => {
  const reply = await fetch(address, { headers: { accept: "text/html" }, cache: "no-store" });
  return new DOMParser().parseFromString(await reply.text(), "text/html");
};

// An element with `data-load` is replaced by the element of its id at that address.
const load = async (part, dress) => {
  try {
    const next = (await fetched(part.dataset.load)).getElementById(part.id);
    if (!next) return;
    part.replaceWith(next);
    dress(next);
  } catch {
    // The link that stands there leads to the same.
  }
};

// Bars are links, each narrows the time to itself; dragging over several narrows it to all of them.
const startBars = (box) => {
  const bars = [...box.querySelectorAll("a[data-start]")];
  const at = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest("a[data-start]");
  let from = null;
  let to = null;
  const show = () => {
    const [low, high] = [bars.indexOf(from), bars.indexOf(to)].sort((a, b) => a - b);
    bars.forEach((bar, place) => bar.classList.toggle("bars-chosen", from !== null && place >= low && place <= high));
  };
  box.addEventListener("dragstart", (event) => event.preventDefault());
  box.addEventListener("pointerdown", (event) => {
    from = to = event.button === 0 && event.pointerType === "mouse" ? (at(event) ?? null) : null;
  });
  box.addEventListener("pointermove", (event) => {
    if (from === null) return;
    to = at(event) ?? to;
    if (to !== from) show();
  });
  addEventListener("pointerup", () => {
    const chosen = from !== null && to !== from ? [from, to].sort((a, b) => bars.indexOf(a) - bars.indexOf(b)) : null;
    from = to = null;
    show();
    if (!chosen) return;
    const address = new URL(box.dataset.bars, location.href);
    address.searchParams.set("since", chosen[0].dataset.start);
    address.searchParams.set("until", chosen[1].dataset.end);
    location.assign(address);
  });
};

// The next page of a list goes under the one that is there when a reader comes near its end.
const startMore = (nav, dress) => {
  const link = nav.querySelector("a[rel=next]");
  const list = document.getElementById(nav.dataset.more);
  if (!link || !list) return;
  const watcher = new IntersectionObserver(
    async (seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      try {
        const fresh = await fetched(link.href);
        const rows = fresh.getElementById(list.id);
        if (!rows) return;
        for (const row of [...rows.children]) {
          list.append(row);
          dress(row);
        }
        const next = fresh.querySelector(`[data-more="${list.id}"]`);
        if (!next) return nav.remove();
        nav.replaceWith(next);
        startMore(next, dress);
      } catch {
        // The link leads there.
      }
    },
    { rootMargin: "800px" },
  );
  watcher.observe(nav);
};

export const startFinding = (root, dress) => {
  const each = (selector, start) => {
    const found = [...root.querySelectorAll(selector)];
    if (root.matches?.(selector)) found.push(root);
    found.forEach(start);
  };
  each("[data-load][id]", (part) => load(part, dress));
  each("[data-bars]", startBars);
  // Of many fields nobody wants each to be applied by itself.
  each(".more-list", (box) => box.addEventListener("change", (event) => event.stopPropagation()));
  each("[data-more]", (nav) => startMore(nav, dress));
  each("[data-tail]", (bar) => startTail(bar, dress));
};
