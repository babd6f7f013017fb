// Forms: filters that apply at once, questions before what cannot be undone, and menus that close.
export const startForms = (root) => {
  for (const form of root.querySelectorAll("[data-filters]")) {
    form.addEventListener("change", () => form.requestSubmit());
    // Empty fields stay out of the address, so that it can be read and shared.
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
    });
  }
  for (const form of root.querySelectorAll("form[data-confirm]")) {
    form.addEventListener("submit", (event) => {
      if (!confirm(form.dataset.confirm)) event.preventDefault();
    });
  }
  for (const form of root.querySelectorAll("form[method='post']")) {
    form.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return;
      // After the browser has taken the form: a second press must not act twice.
      setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
    });
  }
  for (const button of root.querySelectorAll("[data-dismiss]")) {
    button.hidden = false;
    button.addEventListener("click", () => button.closest("[data-flash]").remove());
  }
  for (const menu of root.querySelectorAll("[data-menu]")) {
    const close = (back) => {
      menu.open = false;
      if (back) menu.querySelector("summary").focus();
    };
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.stopPropagation();
      close(true);
    });
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) close(false);
    });
  }
};

// The browser's back button may show a page whose buttons were switched off when it was left.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[method='post'] button:disabled")) button.disabled = false;
});
