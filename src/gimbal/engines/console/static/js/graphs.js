// What is wider than its box opens where the page's own part is: the node of a graph, the tab of a row of tabs.
export const startGraphs = (root) => {
  for (const box of root.querySelectorAll("[data-graph], .tabs")) {
    const node = box.querySelector(".graph-current, [aria-current]");
    if (!node || box.scrollWidth <= box.clientWidth) continue;
    const [here, there] = [box.getBoundingClientRect(), node.getBoundingClientRect()];
    box.scrollLeft += there.left + there.width / 2 - here.left - here.width / 2;
  }
};
