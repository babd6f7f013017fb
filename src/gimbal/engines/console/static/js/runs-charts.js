// Charts of runs: each asks the server for its spec when it comes near the window, and lets go of its drawing when it
// is far away, so that a page of hundreds of runs and charts stays light. Colours follow the theme, as everywhere.
import { paint } from "./charts.js";
import { saveChart } from "./runs-save.js";

const AT_ONCE = 4;
const ROWS = 200;
const waiting = [];
let asking = 0;

const common = () => {
  const element = document.querySelector("script[data-run-charts]");
  if (!element) return null;
  element.parsed ??= JSON.parse(element.textContent);
  return { url: element.dataset.url, live: Number(element.dataset.live) || 0, ask: element.parsed };
};

const ask = async (figure, more = {}) => {
  const { url, ask: shared } = common();
  const body = JSON.stringify({ ...shared, ...JSON.parse(figure.dataset.runChart), ...more });
  const reply = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    cache: "no-store",
  });
  const answer = await reply.json().catch(() => null);
  if (!reply.ok) throw new Error(answer?.error?.message ?? `The server answered with status ${reply.status}.`);
  return answer;
};

const tell = (figure, words) => {
  const line = figure.querySelector("[data-chart-problem]");
  line.textContent = words;
  line.hidden = !words;
  figure.querySelector("[data-chart-canvas]").hidden = Boolean(words);
};

const fillTable = (figure) => {
  const box = figure.querySelector(".chart-data .table-box");
  const rows = figure.spec.data.values;
  const names = Object.keys(rows[0] ?? {});
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const name of names) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows.slice(0, ROWS)) {
    const line = body.insertRow();
    for (const name of names) {
      const cell = line.insertCell();
      cell.textContent = row[name] ?? "—";
      if (typeof row[name] === "number") cell.className = "num";
    }
  }
  box.replaceChildren(table);
};

const show = async (figure) => {
  const answer = await ask(figure);
  if (!figure.near) return;
  figure.spec = answer.spec;
  tell(figure, "");
  await paint(figure, answer.spec);
  figure.dataset.drawn = "";
  figure.querySelector(".chart-menu").hidden = false;
  const note = figure.querySelector("[data-chart-note]");
  note.textContent = answer.without ? `${answer.without} without it` : "";
  const data = figure.querySelector(".chart-data");
  data.hidden = false;
  if (data.open) fillTable(figure);
};

const save = async (figure, kind) => {
  figure.querySelector(".chart-menu").open = false;
  try {
    // In a file nothing stands around it that says which line is which.
    const { spec } = await ask(figure, { named: true });
    await saveChart(figure, spec, kind);
  } catch (problem) {
    tell(figure, problem.message);
  }
};

const next = async () => {
  if (asking >= AT_ONCE) return;
  const figure = waiting.shift();
  if (!figure) return;
  asking += 1;
  figure.queued = false;
  try {
    if (figure.near && figure.isConnected) await show(figure);
  } catch (problem) {
    tell(figure, problem.message);
    figure.dataset.refused = "";
  } finally {
    asking -= 1;
    next();
  }
};

const want = (figure) => {
  if (figure.queued) return;
  figure.queued = true;
  waiting.push(figure);
  next();
};

// The room that it took stays, so that nothing moves while one scrolls.
const release = (figure) => {
  if (!figure.view) return;
  const canvas = figure.querySelector("[data-chart-canvas]");
  const place = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  place.setAttribute("width", "1");
  place.setAttribute("height", String(canvas.clientHeight));
  figure.view.finalize();
  figure.view = null;
  figure.spec = null;
  delete figure.dataset.drawn;
  canvas.replaceChildren(place);
  figure.querySelector(".chart-menu").hidden = true;
};

const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.near = isIntersecting;
      if (isIntersecting && !target.view) want(target);
    }
  },
  { rootMargin: "300px" },
);
const far = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) if (!isIntersecting) release(target);
  },
  { rootMargin: "2500px" },
);

export const startRunCharts = (root) => {
  for (const figure of root.querySelectorAll("[data-run-chart]")) {
    near.observe(figure);
    far.observe(figure);
    figure.querySelector(".chart-data").addEventListener("toggle", (event) => {
      if (event.target.open && figure.spec) fillTable(figure);
    });
    for (const button of figure.querySelectorAll("[data-save]"))
      button.addEventListener("click", () => save(figure, button.dataset.save));
  }
  const live = root === document && common()?.live;
  if (live) {
    setInterval(() => {
      if (document.hidden) return;
      for (const figure of document.querySelectorAll("[data-run-chart]")) if (figure.near) want(figure);
    }, live * 1000);
  }
};

document.addEventListener("gimbal:theme", () => {
  for (const figure of document.querySelectorAll("[data-run-chart][data-drawn]")) if (figure.spec) paint(figure, figure.spec);
});
