// One row of a trace's tree: name, cost, time and bar. Whatever came from outside is put in as text, never as markup.
import { count, duration, money } from "./trace-words.js";

const STEP = 14;
const DEEPEST = 16;

export const make = (tag, name, words) => {
  const found = document.createElement(tag);
  if (name) found.className = name;
  if (words !== undefined) found.textContent = words;
  return found;
};

const note = (view, place, run, kind) => {
  if (run) return kind;
  const { bones } = view;
  const tokens = bones.all_tokens[place];
  const scores = view.scores[place];
  return [
    kind,
    bones.models[bones.model[place]],
    tokens === null ? "" : `${count(tokens)} tokens`,
    scores ? `${scores} ${scores === 1 ? "score" : "scores"}` : "",
    view.cached.has(place) ? "from the cache" : "",
    view.orphans.has(place) ? "its parent is not here" : "",
  ]
    .filter(Boolean)
    .join(" · ");
};

const cost = (view, place) => {
  const known = view.bones.all_cost[place];
  if (known !== null) return money(known);
  return view.unpriced.has(place) ? "unknown" : "";
};

const bar = (view, kind, start, length) => {
  const lane = make("span", "tv-lane");
  const [low, high] = view.window;
  const wide = Math.max(high - low, 1);
  const left = Math.max((start - low) / wide, 0);
  const right = Math.min((start + length - low) / wide, 1);
  if (right < 0 || left > 1 || (start + length < low)) return lane;
  const bar = make("span", `tv-bar kind-${kind}`);
  bar.style.left = `${Math.min(left, 0.996) * 100}%`;
  bar.style.width = `${Math.max(right - left, 0) * 100}%`;
  lane.append(bar);
  return lane;
};

export const makeRow = (view, index) => {
  const row = view.rows[index];
  const run = row < 0 ? view.tree.runs[-1 - row] : null;
  const place = run ? run.first : row;
  const { bones, tree } = view;
  const kind = bones.kinds[bones.kind[place]];
  const failed = run ? run.errors > 0 : bones.status[place] === view.failed;
  const element = make("div", "tv-row");
  element.id = `tv-${index}`;
  element.dataset.index = index;
  element.style.top = `${index * view.height}px`;
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", view.depths[index] + 1);
  element.setAttribute("aria-selected", row === view.row ? "true" : "false");
  const leaf = !run && tree.leaf(place);
  const open = run ? run.open : !tree.folded[place];
  if (!leaf) element.setAttribute("aria-expanded", String(open));
  element.classList.toggle("tv-failed", failed);
  element.classList.toggle("tv-on", run ? tree.critical.subarray(run.first, run.last).includes(1) : tree.critical[place] === 1);
  element.classList.toggle("tv-aside", Boolean(view.fits && !view.fits[place]));
  const name = make("span", "tv-name");
  name.style.paddingLeft = `${Math.min(view.depths[index], DEEPEST) * (view.narrow.matches ? 8 : STEP)}px`;
  name.append(make("span", `tv-fold${leaf ? " tv-leaf" : open ? " tv-open" : ""}`), make("span", `kind-mark kind-${kind}`));
  if (view.depths[index] > DEEPEST) name.append(make("span", "tv-cost", `${view.depths[index]}›`));
  name.append(make("span", "tv-label", bones.names[bones.name[place]] || "(no name)"));
  if (run) name.append(make("span", "badge badge-plain", `${count(run.count)}×`));
  if (failed && !run) name.append(make("span", "tv-bad", "failed"));
  const inside = run ? run.errors : bones.all_errors[place] - (failed ? 1 : 0);
  if (inside > 0 && !(open && !run)) name.append(make("span", "tv-bad", `${count(inside)} failed inside`));
  name.append(make("span", "tv-note", note(view, place, run, kind)));
  element.append(name, make("span", "tv-cost", run ? "" : cost(view, place)));
  const span = run ? [run.start, run.stop - run.start] : [bones.start[place], bones.duration[place]];
  element.append(make("span", "tv-time", duration(span[1])), bar(view, kind, ...span));
  return element;
};
