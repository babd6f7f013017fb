// A graph wider than its box opens where the page's own node is.
export const startGraphs = (root) => {
  for (const box of root.querySelectorAll("[data-graph]")) {
    const node = box.querySelector(".graph-current");
    if (!node || box.scrollWidth <= box.clientWidth) continue;
    const [here, there] = [box.getBoundingClientRect(), node.getBoundingClientRect()];
    box.scrollLeft += there.left + there.width / 2 - here.left - here.width / 2;
  }
};
