// What the page of a trace asks for after it is there: the chosen span, the graph with what is alike, and where a text stands.
import { startCopying } from "./copying.js";
import { startForms } from "./forms.js";
import { startGraphs } from "./graphs.js";
import { make } from "./trace-rows.js";

export const startRaw = (root) => {
  for (const search of root.querySelectorAll("[data-raw-search]")) {
    search.hidden = false;
    const rows = [...search.closest("details").querySelectorAll("[data-raw-row]")];
    search.addEventListener("input", () => {
      const text = search.querySelector("input").value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(text);
    });
  }
};

// What the page came with has been dressed with the rest of it.
const dress = (root) => {
  startCopying(root);
  startForms(root);
  startGraphs(root);
  startRaw(root);
};

const fetchPart = async (view, values) => {
  view.asking?.abort();
  view.asking = new AbortController();
  const url = new URL(location.pathname, location.href);
  for (const [name, value] of Object.entries(values)) url.searchParams.set(name, value);
  const reply = await fetch(url, { headers: { accept: "text/html" }, signal: view.asking.signal });
  if (!reply.ok) throw new Error(`status ${reply.status}`);
  return new DOMParser().parseFromString(await reply.text(), "text/html").body;
};

export const fetchSpan = async (view, place) => {
  const target = view.parts["span-detail"];
  target.setAttribute("aria-busy", "true");
  try {
    const body = await fetchPart(view, { part: "span", span: view.bones.ids[place] });
    if (place !== view.at) return;
    target.replaceChildren(...body.childNodes);
    dress(target);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    target.replaceChildren(make("p", "tv-none", "The span could not be loaded; choose it again."));
  }
  target.removeAttribute("aria-busy");
};

// What takes longer to find out is asked for when it comes near.
export const awaitMore = (view) => {
  const target = view.parts["trace-more"];
  if (target.querySelector("#similar")) return;
  const near = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      fetchMore(view);
    },
    { rootMargin: "200px" },
  );
  near.observe(target);
};

const fetchMore = async (view) => {
  const target = view.parts["trace-more"];
  try {
    const url = new URL(location.pathname, location.href);
    url.searchParams.set("part", "more");
    const reply = await fetch(url, { headers: { accept: "text/html" } });
    if (!reply.ok) return;
    const body = new DOMParser().parseFromString(await reply.text(), "text/html").body;
    target.replaceChildren(...body.childNodes);
    dress(target);
  } catch {
    // The link to it stays.
  }
};

export const search = async (view, text) => {
  const url = `/api/v1/projects/${location.pathname.split("/")[2]}/traces/${view.bones.trace_id}/find?text=${encodeURIComponent(text)}`;
  try {
    const reply = await fetch(url);
    if (!reply.ok || text !== view.text()) return;
    const having = new Set((await reply.json()).ids);
    view.found = new Uint8Array(view.tree.size);
    for (let i = 0; i < view.tree.size; i += 1) if (having.has(view.bones.ids[i])) view.found[i] = 1;
    view.filter();
  } catch {
    // What the names say is shown already.
  }
};
