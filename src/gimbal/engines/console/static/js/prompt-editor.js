// The form in which prompts are written: it is checked while somebody types, and this tab keeps what is not committed, so
// that an expired session or a closed page costs nothing. Without scripts its buttons do the same.
const WAIT_MS = 600;
// A longer text is checked when its button is pressed.
const LONGEST = 200_000;
// What a form may have as it is sent, with room for its other fields.
const LONGEST_FORM = 1_000_000;
const TOO_LONG = "The text is too long for a form: save it as a file, and sync that.";
const key = (name) => `gimbal prompt ${location.pathname.split("/")[2]} ${name}`;

const read = (name) => {
  try {
    return JSON.parse(sessionStorage.getItem(key(name)));
  } catch {
    return null;
  }
};

class Editor {
  constructor(form) {
    this.form = form;
    this.text = form.elements.text;
    this.name = form.dataset.promptEditor;
    this.asked = 0;
    this.offer();
    form.addEventListener("input", () => {
      this.keep();
      this.later();
    });
    for (const name of ["keyup", "click", "focus", "input"]) this.text.addEventListener(name, () => this.place());
    document.addEventListener("click", (event) => {
      const line = event.target.closest("[data-line]");
      if (line) this.show(Number(line.dataset.line));
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      form.requestSubmit(form.querySelector("button[value=check]"));
    });
    form.addEventListener("submit", (event) => {
      if (new URLSearchParams({ text: this.text.value.replaceAll("\n", "\r\n") }).toString().length <= LONGEST_FORM) return;
      event.preventDefault();
      form.querySelector("[data-checking]").textContent = TOO_LONG;
    });
    this.dress();
    if (!document.getElementById("check").children.length && this.text.value.length <= LONGEST && this.name) this.check();
  }

  // ---- what is not committed stays ----

  keep() {
    const note = this.form.elements.note.value;
    const held = { text: this.text.value, note, base: this.form.elements.base.value, at: Date.now() };
    try {
      sessionStorage.setItem(key(this.name), JSON.stringify(held));
    } catch {
      // The tab's store is full or forbidden: the form is all there is.
    }
  }

  offer() {
    const held = read(this.name);
    const box = document.querySelector("[data-draft]");
    if (!held || held.text === this.text.value) return;
    const minutes = Math.round((Date.now() - held.at) / 60000);
    const words = `Of ${minutes < 1 ? "a moment" : minutes === 1 ? "a minute" : `${minutes} minutes`} ago`;
    box.querySelector("[data-draft-words]").textContent = held.base === this.form.dataset.base ? `${words}.` : `${words}, begun on v${held.base}.`;
    box.hidden = false;
    box.querySelector("[data-draft-use]").addEventListener("click", () => {
      this.text.value = held.text;
      this.form.elements.note.value ||= held.note;
      this.form.elements.base.value = held.base;
      box.hidden = true;
      this.text.focus();
      this.check();
    });
    box.querySelector("[data-draft-drop]").addEventListener("click", () => {
      sessionStorage.removeItem(key(this.name));
      box.hidden = true;
      this.text.focus();
    });
  }

  // ---- where one is ----

  place() {
    const before = this.text.value.slice(0, this.text.selectionStart).split("\n");
    this.form.querySelector("[data-place]").textContent = `Line ${before.length}, column ${before.at(-1).length + 1}`;
  }

  show(line) {
    const lines = this.text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    this.text.focus();
    this.text.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
    this.text.scrollTop = (this.text.scrollHeight / lines.length) * Math.max(0, line - 4);
    this.place();
  }

  // ---- what it would be ----

  later() {
    clearTimeout(this.waits);
    const said = this.form.querySelector("[data-checking]");
    said.textContent = this.text.value.length > LONGEST ? "A long text: press Check." : "";
    if (this.text.value.length <= LONGEST) this.waits = setTimeout(() => this.check(), WAIT_MS);
  }

  async check() {
    this.asked += 1;
    const mine = this.asked;
    const said = this.form.querySelector("[data-checking]");
    const body = new URLSearchParams(new FormData(this.form));
    body.set("do", "check");
    said.textContent = "Checking …";
    const reply = await fetch(this.form.getAttribute("action"), { method: "POST", body, headers: { accept: "text/html" } }).catch(() => null);
    if (mine !== this.asked) return;
    if (reply?.status === 413) {
      said.textContent = TOO_LONG;
      return;
    }
    if (!reply || reply.status === 401) {
      said.textContent = reply ? "You are signed out: sign in in another tab, and go on here." : "The server does not answer; your text is kept in this tab.";
      return;
    }
    const found = new DOMParser().parseFromString(await reply.text(), "text/html");
    const fresh = found.getElementById("check");
    if (mine !== this.asked) return;
    said.textContent = fresh ? "" : "It could not be checked now.";
    if (!fresh) return;
    document.getElementById("check").replaceWith(document.adoptNode(fresh));
    // What the button beneath "written meanwhile" sends.
    this.form.querySelector("[name=onto]")?.remove();
    const onto = found.querySelector("#edit [name=onto]");
    if (onto) this.form.append(document.adoptNode(onto));
    this.dress();
  }

  dress() {
    for (const one of document.querySelectorAll("#check [data-line]")) one.hidden = false;
    if (document.querySelector("#check .notice-bad")) this.text.setAttribute("aria-invalid", "true");
    else this.text.removeAttribute("aria-invalid");
  }
}

for (const form of document.querySelectorAll("[data-prompt-editor]")) new Editor(form);
// It is committed: nothing is left to keep. Said once: who comes back to this page may have typed something since.
for (const made of document.querySelectorAll("[data-prompt-made]")) {
  sessionStorage.removeItem(key("promptFresh" in made.dataset ? "" : made.dataset.promptMade));
  const address = new URL(location.href);
  address.searchParams.delete("made");
  history.replaceState(history.state, "", address);
}
