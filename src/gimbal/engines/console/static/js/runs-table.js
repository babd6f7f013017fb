// The table of runs: which ones are chosen stays when the rows come anew.
const chosen = new Set();

const count = () => {
  for (const button of document.querySelectorAll("[data-run-compare]")) {
    button.disabled = chosen.size === 0;
    button.textContent = chosen.size ? `Compare ${chosen.size} chosen` : "Compare those chosen";
  }
};

export const startRunTable = (root) => {
  const boxes = [...root.querySelectorAll("[data-run-choice] input[name=runs], input[name=runs][type=checkbox]")];
  if (!boxes.length) return;
  for (const box of boxes) {
    // A browser that goes back keeps what was marked.
    if (box.checked) chosen.add(box.value);
    box.checked = chosen.has(box.value);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(box.value);
      else chosen.delete(box.value);
      count();
    });
  }
  count();
};
