// Charts: the Vega-Lite spec beside each figure is drawn under Vega's expression interpreter, because the
// Content-Security-Policy forbids code made from text. The library is fetched only when a chart comes into view.
import { dark } from "./theme.js";

const HERE = new URL("../", import.meta.url);
let library;
let configs;

const load = () => {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("vega.js", HERE).href;
    // The library ends as an ES module would; as one it is deferred and strict.
    script.type = "module";
    script.onload = () => resolve(window.vegaEmbed);
    script.onerror = () => reject(new Error("the chart library did not load"));
    document.head.append(script);
  });
  configs ??= fetch(new URL("chart-themes.json", HERE)).then((reply) => reply.json());
  return Promise.all([library, configs]);
};

const drawing = async (canvas, spec, background) => {
  const [embed, themes] = await load();
  return embed(canvas, spec, {
    actions: false,
    ast: true,
    config: { ...themes[dark() ? "dark" : "light"], background },
    // Both would put a style element into the page, which the policy forbids; our own styles stand in views.css.
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
    renderer: "canvas",
  });
};

// Draws `spec` into the figure's canvas, in place of what was drawn before.
export const paint = async (figure, spec) => {
  await load();
  figure.view?.finalize();
  figure.view = await drawing(figure.querySelector("[data-chart-canvas]"), spec, "transparent");
};

// Draws `spec` outside the page, on the ground that cards have in the theme that is seen.
export const drawAside = async (spec) => {
  const [, themes] = await load();
  return drawing(document.createElement("div"), spec, dark() ? themes.dark.background : "#ffffff");
};

const draw = async (figure) => {
  const canvas = figure.querySelector("[data-chart-canvas]");
  const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  try {
    await paint(figure, spec);
  } catch (problem) {
    figure.querySelector("details").open = true;
    canvas.hidden = true;
    console.warn("A chart could not be drawn:", problem);
  }
};

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      entry.target.dataset.drawn = "";
      draw(entry.target);
    }
  },
  { rootMargin: "200px" },
);

export const startCharts = (root) => {
  for (const figure of root.querySelectorAll("[data-chart]")) seen.observe(figure);
};

document.addEventListener("gimbal:theme", () => {
  for (const figure of document.querySelectorAll("[data-chart][data-drawn]")) draw(figure);
});
