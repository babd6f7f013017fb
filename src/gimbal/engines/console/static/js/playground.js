// The playground: one conversation, up to four models beside each other, streamed. The address says all of the set-up.
import { call } from "./playground-call.js";
import { startSaving } from "./playground-save.js";

const LONGEST_ADDRESS = 6000;
const WAITS_MS = [150, 300, 600, 1200, 2400, 4800];
const TYPED = new Set(["number", "integer", "boolean", "list", "object"]);
// What a prompt declares of its variables; those that it includes may declare some, too.
const typesOf = (manifest) => {
  const inner = (manifest.includes ?? []).map(typesOf).reverse();
  const own = (manifest.declared ?? []).map((one) => [one.name, one.type ?? "text"]);
  return Object.assign({}, ...inner, Object.fromEntries(own));
};
const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

class Playground {
  constructor(root) {
    const part = (name) => root.querySelector(`[data-${name}]`);
    this.root = root;
    this.part = part;
    this.running = null;
    this.said = new WeakMap();
    this.shapes = Object.fromEntries(
      [...document.querySelectorAll("template[data-template]")].map((one) => [one.dataset.template, one.content.firstElementChild]),
    );
    this.ask = startSaving(root, (words, url) => this.say(words, url));
    this.listen();
    this.settle();
  }

  // ---- what is set up ----

  get columns() {
    return [...this.part("columns").children];
  }

  written() {
    const rows = [...this.part("variables").children].map((row) => [
      row.querySelector("[data-name]").value.trim(),
      row.querySelector("[data-value]").value,
      row.dataset.type,
    ]);
    return rows.filter(([name]) => name);
  }

  variables() {
    const given = this.written().filter(([, value, type]) => value.trim() || !TYPED.has(type));
    return Object.fromEntries(
      given.map(([name, value, type]) => {
        if (!TYPED.has(type)) return [name, value];
        try {
          return [name, JSON.parse(value)];
        } catch {
          // It goes as it was written: the gateway says what is wrong with it.
          return [name, value];
        }
      }),
    );
  }

  messages() {
    const rows = [...this.part("messages").children].map((row) => ({
      role: row.querySelector("[data-role]").value,
      content: row.querySelector("[data-content]").value,
    }));
    return rows.filter((row) => row.content.trim());
  }

  address() {
    const query = new URLSearchParams();
    const named = this.columns.filter((column) => column.querySelector("[data-model]").value.trim());
    (named.length ? named : this.columns.slice(0, 1)).forEach((column, index) => {
      const value = (name) => column.querySelector(`[data-${name}]`).value.trim();
      query.append("model", value("model"));
      for (const [name, field] of [["temperature", "temperature"], ["max_tokens", "max-tokens"]]) {
        if (value(field)) query.set(`${name}${index + 1}`, value(field));
      }
    });
    const system = this.part("system").value;
    if (system.trim()) query.set("system", system);
    for (const one of this.messages()) query.append("message", `${one.role}:${one.content}`);
    for (const [name, value] of this.written()) query.append("variable", `${name}=${value}`);
    return `${location.pathname}?${query}`;
  }

  keep() {
    clearTimeout(this.keeps);
    this.keeps = setTimeout(() => {
      const address = this.address();
      const fits = address.length <= LONGEST_ADDRESS;
      this.part("said").dataset.long = fits ? "" : "1";
      if (fits) history.replaceState(null, "", address);
      else this.say("The conversation is too long for the address: it cannot be shared by it.");
    }, 200);
  }

  settle() {
    const columns = this.columns;
    this.part("add-column").disabled = columns.length >= Number(this.root.dataset.most);
    for (const column of columns) {
      column.querySelector("[data-remove]").hidden = columns.length === 1;
      const model = column.querySelector("[data-model]");
      column.setAttribute("aria-label", model.value || "Model");
      model.title = model.value;
    }
    const messages = [...this.part("messages").children];
    for (const row of messages) row.querySelector("[data-remove]").hidden = messages.length === 1;
  }

  add(shape, place) {
    const fresh = this.shapes[shape].cloneNode(true);
    this.part(place).append(fresh);
    fresh.querySelector("input, textarea")?.focus();
    this.settle();
    this.keep();
    return fresh;
  }

  listen() {
    const { root } = this;
    root.addEventListener("input", () => this.keep());
    root.addEventListener("change", (event) => {
      this.settle();
      if (event.target.matches("[data-model]")) this.learn(event.target.value.trim());
    });
    root.addEventListener("click", (event) => this.press(event.target.closest("button")));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      if (!this.part("run").disabled) this.run();
    });
    addEventListener("pagehide", () => this.running?.abort());
    const share = document.querySelector("[data-pg-share]");
    share.hidden = false;
    share.addEventListener("click", async () => {
      await navigator.clipboard.writeText(new URL(this.address(), location.href).href);
      this.say("The address is copied.");
    });
  }

  press(button) {
    if (!button) return;
    const { dataset } = button;
    const column = button.closest("[data-column]");
    if ("run" in dataset) this.run();
    else if ("stop" in dataset) this.running?.abort();
    else if ("addColumn" in dataset) this.add("column", "columns");
    else if ("addMessage" in dataset) this.add("message", "messages");
    else if ("addVariable" in dataset) this.add("variable", "variables");
    else if ("remove" in dataset) {
      button.closest("[data-message], [data-variable], [data-column]").remove();
      this.settle();
      this.keep();
    } else if ("save" in dataset) {
      const { sent, text } = this.said.get(column);
      this.ask(sent, text);
    } else if ("continue" in dataset) this.goOn(column);
  }

  // The answer becomes part of the conversation, for all models.
  goOn(column) {
    const answer = this.add("message", "messages");
    answer.querySelector("[data-role]").value = "assistant";
    answer.querySelector("[data-content]").value = this.said.get(column).text;
    this.add("message", "messages").scrollIntoView({ block: "center" });
  }

  // A prompt says which variables it needs.
  async learn(name) {
    if (!name.startsWith("prompt:")) return;
    const reply = await fetch(`/api/v1/projects/${encodeURIComponent(this.root.dataset.project)}/prompts/${encodeURIComponent(name)}`).catch(() => null);
    if (!reply?.ok) return;
    const { manifest } = await reply.json();
    const filled = manifest.retrieval?.into ?? (manifest.retrieval ? "context" : "");
    const types = typesOf(manifest);
    const rows = [...this.part("variables").children];
    const known = new Map(rows.map((row) => [row.querySelector("[data-name]").value.trim(), row]));
    for (const wanted of manifest.variables ?? []) {
      if (known.has(wanted)) known.get(wanted).dataset.type = types[wanted] ?? "text";
      if (known.has(wanted) || wanted === filled) continue;
      const row = this.shapes.variable.cloneNode(true);
      row.dataset.type = types[wanted] ?? "text";
      row.querySelector("[data-name]").value = wanted;
      this.part("variables").append(row);
      this.part("variables-fold").open = true;
    }
    this.keep();
  }

  say(words, url) {
    const line = this.part("said");
    line.replaceChildren(words);
    if (!url) return;
    const link = document.createElement("a");
    link.href = url;
    link.textContent = "Look at it";
    line.append(" ", link);
  }

  // ---- runs ----

  async run() {
    this.running?.abort();
    const columns = this.columns.filter((column) => column.querySelector("[data-model]").value.trim());
    if (!columns.length) {
      this.say("Name a model first.");
      this.columns[0].querySelector("[data-model]").focus();
      return;
    }
    const running = new AbortController();
    this.running = running;
    this.say("");
    this.part("stop").disabled = false;
    const system = this.part("system").value;
    const sent = { system, messages: this.messages(), variables: this.variables() };
    await Promise.all(columns.map((column) => this.runOne(column, sent, running)));
    if (this.running !== running) return;
    this.running = null;
    this.part("stop").disabled = true;
  }

  filled(model, sent) {
    return model.startsWith("prompt:") || (model.startsWith("route:") && Object.keys(sent.variables).length > 0);
  }

  body(column, sent) {
    const value = (name) => column.querySelector(`[data-${name}]`).value.trim();
    const messages = [...(sent.system.trim() ? [{ role: "system", content: sent.system }] : []), ...sent.messages];
    const body = { model: value("model"), messages };
    const [temperature, most] = [value("temperature"), value("max-tokens")];
    // What is no number goes as it was written: the gateway says what is wrong with it.
    if (temperature) body.temperature = Number.isFinite(Number(temperature)) ? Number(temperature) : temperature;
    if (most) body.max_tokens = Number.isFinite(Number(most)) ? Number(most) : most;
    return this.filled(body.model, sent) ? { ...body, variables: sent.variables } : body;
  }

  async runOne(column, sent, running) {
    const part = (name) => column.querySelector(`[data-${name}]`);
    const box = column.querySelector(".pg-answer");
    const began = performance.now();
    const variables = this.filled(part("model").value.trim(), sent) ? sent.variables : {};
    let [first, finish, trace, problem, words] = [0, "", "", null, ""];
    box.hidden = false;
    part("idle").hidden = true;
    part("problem").hidden = true;
    part("after").hidden = true;
    part("reasoning").hidden = true;
    part("reasoning").textContent = part("text").textContent = "";
    part("call").replaceChildren();
    column.setAttribute("aria-busy", "true");
    const show = () => {
      part("state").textContent = first ? `${seconds(performance.now() - began)} · first token after ${seconds(first)}` : `${seconds(performance.now() - began)} · waiting for the first token`;
    };
    const clock = setInterval(show, 100);
    show();
    const more = (name, text) => {
      first ||= performance.now() - began;
      const down = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
      part(name).append(text);
      if (down) box.scrollTop = box.scrollHeight;
    };
    await call(this.body(column, sent), this.root.dataset.project, running.signal, {
      text: (text) => {
        words += text;
        more("text", text);
      },
      reasoning: (text) => {
        part("reasoning").hidden = false;
        more("reasoning", text);
      },
      finish: (reason) => (finish = reason),
      trace: (id) => (trace = id ?? ""),
      problem: (found) => (problem = found),
    });
    clearInterval(clock);
    column.removeAttribute("aria-busy");
    // A run that was started meanwhile has the column now.
    if (this.running !== running && this.running !== null) return;
    const took = seconds(performance.now() - began);
    part("state").textContent = problem ? `Failed after ${took}` : finish === "stopped" ? `Stopped after ${took}` : `Done in ${took}${first ? ` · first token after ${seconds(first)}` : ""}`;
    if (problem) {
      part("problem").hidden = false;
      part("problem-title").textContent = problem.title;
      part("problem-todo").textContent = problem.todo;
    }
    this.said.set(column, { sent: { ...sent, variables }, text: words });
    box.hidden = Boolean(problem) && !words;
    part("after").hidden = !words;
    if (trace) this.figures(column, trace);
  }

  // Tokens, cost and times as the trace has them; its record comes a moment after the answer.
  async figures(column, trace) {
    const place = column.querySelector("[data-call]");
    column.dataset.trace = trace;
    for (const wait of WAITS_MS) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      const reply = await fetch(`${this.root.dataset.page}?call=${encodeURIComponent(trace)}`, { headers: { accept: "text/html" }, cache: "no-store" }).catch(() => null);
      if (column.dataset.trace !== trace) return;
      if (!reply?.ok) continue;
      const found = new DOMParser().parseFromString(await reply.text(), "text/html").body;
      place.replaceChildren(...[...found.children].map((one) => document.adoptNode(one)));
      if (place.querySelector("[data-stored]")) return;
    }
  }
}

for (const root of document.querySelectorAll("[data-playground]")) new Playground(root);
