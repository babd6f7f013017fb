// One streamed call of the playground over the gateway's own door, told piece by piece.
const refusal = (status, body) => {
  const error = body?.error ?? {};
  return {
    title: error.message ? `${error.message}` : `The gateway answered with status ${status}.`,
    todo: [error.code || error.type, error.param && `at ${error.param}`, status ? `status ${status}` : ""].filter(Boolean).join(" · "),
  };
};

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const parts = rest.split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of done && rest ? [...parts, rest] : parts) {
      const data = part
        .split(/\r?\n/)
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart())
        .join("\n");
      if (data) yield data;
    }
    if (done) return;
  }
}

const told = (chunk, tell) => {
  const choice = chunk.choices?.[0];
  const delta = choice?.delta ?? {};
  if (delta.reasoning_content) tell.reasoning(delta.reasoning_content);
  if (delta.content) tell.text(delta.content);
  if (delta.refusal) tell.text(delta.refusal);
  for (const call of delta.tool_calls ?? []) {
    if (call.function?.name) tell.text(`\n→ ${call.function.name} `);
    if (call.function?.arguments) tell.text(call.function.arguments);
  }
  if (choice?.finish_reason) tell.finish(choice.finish_reason);
};

// Runs to its end; what it comes to is told, never thrown: `tell` has text, reasoning, finish, trace and problem.
export const call = async (body, project, signal, tell) => {
  try {
    const reply = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", "x-gimbal-project": project, "x-gimbal-feature": "playground" },
      body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
      cache: "no-store",
      signal,
    });
    tell.trace(reply.headers.get("x-gimbal-trace-id"));
    if (!reply.ok) {
      tell.problem(refusal(reply.status, await reply.json().catch(() => null)));
      return;
    }
    for await (const data of events(reply.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) {
        tell.problem(refusal(0, chunk));
        return;
      }
      told(chunk, tell);
    }
    tell.problem({ title: "The answer broke off before its end.", todo: "Run it again; its trace says how far it came." });
  } catch (problem) {
    if (signal.aborted) tell.finish("stopped");
    else tell.problem({ title: "The gateway does not answer.", todo: String(problem.message ?? problem) });
  }
};
