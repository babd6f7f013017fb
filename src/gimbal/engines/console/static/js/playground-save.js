// Saves what was sent and an answer as an example of a suite: a new version of it, or a new suite.
const slug = (text) =>
  text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40).replace(/-+$/, "");

const asked = (sent) => {
  if (Object.keys(sent.variables).length) return sent.variables;
  const [only, ...more] = sent.messages;
  return more.length === 0 && only?.role === "user" ? { question: only.content } : { messages: sent.messages };
};

export const startSaving = (root, say) => {
  const dialog = document.querySelector("[data-save-dialog]");
  const form = dialog.querySelector("[data-save-form]");
  const { suite, new_suite, scorer, example, input, expected } = form.elements;
  const problem = dialog.querySelector("[data-save-problem]");
  const button = dialog.querySelector("[data-save-do]");
  const fresh = dialog.querySelector("[data-new-suite]");
  const prefix = `/api/v1/projects/${encodeURIComponent(root.dataset.project)}/suites`;

  const wrong = (words) => {
    problem.hidden = !words;
    problem.textContent = words;
  };
  suite.addEventListener("change", () => (fresh.hidden = suite.value !== ""));

  const save = async () => {
    let given;
    try {
      given = JSON.parse(input.value);
    } catch (error) {
      wrong(`The input is not JSON: ${error.message}`);
      return;
    }
    const name = suite.value || new_suite.value.trim();
    if (!name || !example.value.trim()) {
      wrong(name ? "An id is missing." : "A name for the suite is missing.");
      return;
    }
    const examples = [{ id: example.value.trim(), input: given, expected: { answer: expected.value } }];
    const note = "from the playground";
    const [path, body] = suite.value
      ? [`${prefix}/${encodeURIComponent(`suite:${name}`)}/examples`, { examples, note }]
      : [prefix, { name, examples, scorers: [scorer.value], note }];
    button.disabled = true;
    try {
      const reply = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      const answer = await reply.json().catch(() => ({}));
      if (!reply.ok) {
        const error = answer.error ?? answer;
        wrong([error.message ?? `The server answered with status ${reply.status}.`, error.todo].filter(Boolean).join(" "));
        return;
      }
      dialog.close();
      if (!suite.value) {
        suite.prepend(new Option(name, name));
        suite.value = name;
        fresh.hidden = true;
      }
      say(`Saved as ${examples[0].id} in suite:${name}@v${answer.number}.`, `${root.dataset.page.replace(/\/gateway\/.*$/, "")}/assets/${encodeURIComponent(`suite:${name}@v${answer.number}`)}`);
    } catch (error) {
      wrong(`The server does not answer: ${error.message}`);
    } finally {
      button.disabled = false;
    }
  };
  button.addEventListener("click", save);

  return (sent, text) => {
    const content = asked(sent);
    input.value = JSON.stringify(content, null, 2);
    expected.value = text;
    const words = slug(String(Object.values(content)[0]?.slice?.(0, 60) ?? ""));
    example.value = `${words || "example"}-${Date.now().toString(36).slice(-4)}`;
    wrong("");
    dialog.showModal();
  };
};
