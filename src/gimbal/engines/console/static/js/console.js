// What pages gain from scripts. Every page works without: each part here only makes it quicker or calmer.
import { startCharts } from "./charts.js";
import { startCopying } from "./copying.js";
import { startFinding } from "./finding.js";
import { startForms } from "./forms.js";
import { startGraphs } from "./graphs.js";
import { startRefreshing } from "./refreshing.js";
import { startRunCharts } from "./runs-charts.js";
import { startRunTable } from "./runs-table.js";
import { startTheme } from "./theme.js";

// Parts of a page can be replaced later, so each part is told again what to look after.
const dress = (root) => {
  startCopying(root);
  startForms(root);
  startCharts(root);
  startGraphs(root);
  startFinding(root, dress);
  startRunCharts(root);
  startRunTable(root);
};

document.documentElement.classList.add("scripted");
startTheme();
dress(document);
startRefreshing(dress);
