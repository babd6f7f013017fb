// The live tail: asks again and again for what came since, and puts it on top. While someone reads on (scrolled down, or
// with the pointer or the keyboard in the rows) it only counts; when the server is away it asks again and misses nothing.
const MOST_ROWS = 200;
const MOST_HELD = 200;
const SLOWEST_S = 15;

export const startTail = (bar, dress) => {
  const rows = document.querySelector("[data-rows]");
  const words = bar.querySelector("[data-tail-state]");
  const button = bar.querySelector("[data-tail-more]");
  if (!rows || !words || !button) return;
  const box = rows.closest(".table-box");
  const gone = new AbortController();
  const held = new Map();
  let cursor = bar.dataset.cursor;
  let missed = false;
  let failures = 0;

  const reading = () =>
    rows.matches(":hover") || rows.contains(document.activeElement) || scrollY > 200 || box.scrollTop > 8 ||
    getSelection()?.containsNode?.(rows, true) && !getSelection().isCollapsed;

  const tell = () => {
    bar.classList.toggle("live-lost", failures > 0);
    bar.classList.toggle("live-paused", failures === 0 && held.size > 0);
    button.hidden = held.size === 0;
    button.textContent = `${held.size}${held.size >= MOST_HELD ? "+" : ""} new`;
    words.textContent = failures
      ? "The server does not answer; asked again until it does."
      : held.size
        ? "Paused while you read."
        : missed
          ? "More came than is shown here; the list has all of it."
          : "New traces appear here as they come.";
  };

  const release = () => {
    for (const row of held.values()) {
      rows.querySelector(`tr[data-id="${row.dataset.id}"]`)?.remove();
      row.classList.add("fresh");
      rows.prepend(row);
      dress(row);
    }
    held.clear();
    while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
    tell();
  };

  const ask = async () => {
    const address = new URL(bar.dataset.tail, location.href);
    address.searchParams.set("tail", cursor);
    const reply = await fetch(address, { headers: { accept: "text/html" }, cache: "no-store", signal: gone.signal });
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    const table = new DOMParser().parseFromString(await reply.text(), "text/html").querySelector("table[data-cursor]");
    if (!table) throw new Error("no tail");
    cursor = table.dataset.cursor;
    missed = missed || table.dataset.more !== undefined;
    for (const row of table.querySelectorAll("tr[data-id]")) {
      const own = document.adoptNode(row);
      // What changed again goes to its newest place.
      held.delete(own.dataset.id);
      held.set(own.dataset.id, own);
      if (held.size > MOST_HELD) {
        held.delete(held.keys().next().value);
        missed = true;
      }
    }
  };

  const visible = () =>
    document.hidden
      ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }))
      : Promise.resolve();

  const turn = async () => {
    while (!gone.signal.aborted) {
      await visible();
      try {
        await ask();
        failures = 0;
      } catch {
        if (gone.signal.aborted) return;
        failures += 1;
      }
      if (held.size && !reading()) release();
      else tell();
      if (failures) await new Promise((resolve) => setTimeout(resolve, Math.min(SLOWEST_S, 2 ** (failures - 1)) * 1000));
    }
  };

  button.addEventListener("click", () => {
    scrollTo({ top: 0 });
    box.scrollTop = 0;
    release();
  });
  const maybe = () => held.size && !reading() && release();
  rows.addEventListener("pointerleave", () => setTimeout(maybe, 300));
  addEventListener("scrollend", maybe);
  addEventListener("pagehide", () => gone.abort());
  // A page that the browser's back button brings again has an old place to go on from.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  turn();
};
