// Saving a chart: PNG and SVG are drawn anew at the size of a page, with the names that stand around the chart here and a
// ground of their own; Vega-Lite is the spec itself.
import { drawAside } from "./charts.js";

const WIDE = 720;
const SCALE = 2;

const give = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};

const named = (figure, ending) => {
  const words = figure.querySelector("figcaption b")?.textContent || document.querySelector("h1")?.textContent || "chart";
  return `${words.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 80)}.${ending}`;
};

export const saveChart = async (figure, spec, kind) => {
  if (kind === "json") {
    give(new Blob([JSON.stringify(spec, null, 1)], { type: "application/json" }), named(figure, "vl.json"));
    return;
  }
  const drawing = await drawAside({ ...spec, width: WIDE });
  try {
    if (kind === "svg") {
      give(new Blob([await drawing.view.toSVG()], { type: "image/svg+xml" }), named(figure, "svg"));
      return;
    }
    const canvas = await drawing.view.toCanvas(SCALE);
    give(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), named(figure, "png"));
  } finally {
    drawing.finalize();
  }
};
