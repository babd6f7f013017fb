// Live parts: an element with `data-refresh="2"` is fetched again every two seconds from the page's own address and
// replaced by the element of the same id. It stops when the new one no longer asks for it, waits while the page is
// hidden or someone works inside the part, and backs off while the server does not answer.
const SLOWEST_S = 30;

const fetchPage = async () => {
  const reply = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  if (!reply.ok) throw new Error(`status ${reply.status}`);
  return new DOMParser().parseFromString(await reply.text(), "text/html");
};

const busy = (element) =>
  element.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button, summary");

export const startRefreshing = (dress) => {
  const live = () => [...document.querySelectorAll("[data-refresh][id]")];
  const pause = (factor) =>
    Math.min(SLOWEST_S, factor * Math.min(...live().map((part) => Number(part.dataset.refresh) || 2))) * 1000;
  let failures = 0;

  const visible = () =>
    document.hidden
      ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }))
      : Promise.resolve();

  const once = async () => {
    const fresh = await fetchPage();
    for (const part of live()) {
      const next = fresh.getElementById(part.id);
      if (!next || busy(part)) continue;
      const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
      if (next.outerHTML === part.dataset.last) continue;
      const words = next.outerHTML;
      part.replaceWith(next);
      if (next.hasAttribute("data-refresh")) next.dataset.last = words;
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      dress(next);
    }
  };

  const turn = async () => {
    while (live().length > 0) {
      await new Promise((resolve) => setTimeout(resolve, pause(2 ** failures)));
      await visible();
      try {
        await once();
        failures = 0;
      } catch {
        failures = Math.min(failures + 1, 5);
      }
    }
  };
  turn();
};
