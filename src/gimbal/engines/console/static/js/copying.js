// Buttons that copy: hidden until there is a script to serve them.
const SAID_MS = 1600;

export const startCopying = (root) => {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      const word = button.querySelector("[data-copy-word]");
      const use = button.querySelector("use");
      const [before, icon] = [word.textContent, use.getAttribute("href")];
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        use.setAttribute("href", icon.replace(/#.*/, "#check"));
        word.textContent = "Copied";
      } catch {
        use.setAttribute("href", icon.replace(/#.*/, "#warning"));
        word.textContent = "The browser did not allow copying";
      }
      setTimeout(() => {
        use.setAttribute("href", icon);
        word.textContent = before;
      }, SAID_MS);
    });
  }
};
