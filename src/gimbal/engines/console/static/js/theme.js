// Light, dark or as the system has it. The choice is a cookie, not local storage, so that the server writes it into the
// page and no page ever flashes in the wrong colours.
const COOKIE = "gimbal_theme";
const YEAR = 31536000;

const apply = (theme) => {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new CustomEvent("gimbal:theme"));
};

const stored = () => document.cookie.match(/(?:^|; )gimbal_theme=(light|dark)/)?.[1] ?? "auto";

export const dark = () =>
  document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

export const startTheme = () => {
  const choices = document.querySelectorAll("[data-theme-choice]");
  const show = () => {
    for (const choice of choices) {
      choice.hidden = false;
      for (const input of choice.querySelectorAll("input")) input.checked = input.value === stored();
    }
  };
  for (const choice of choices) {
    choice.addEventListener("change", (event) => {
      const theme = event.target.value;
      document.cookie = `${COOKIE}=${theme}; Path=/; Max-Age=${theme === "auto" ? 0 : YEAR}; SameSite=Lax`;
      apply(theme);
      show();
    });
  }
  // A page that came out of the browser's back cache, or was made without the cookie, catches up here.
  const catchUp = () => {
    if ((document.documentElement.dataset.theme ?? "auto") !== stored()) apply(stored());
    show();
  };
  addEventListener("pageshow", catchUp);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(stored()));
  catchUp();
};
