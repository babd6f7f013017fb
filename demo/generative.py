"""The generative ring, once around: prompt and index → ask → evaluate two versions → gate → ask again."""

import os
import tomllib
from pathlib import Path

from openai import OpenAI

import gimbal
from demo.story import Story
from gimbal.axis.evals.model import EvaluationRun, Example
from gimbal.axis.gates.model import Rule
from gimbal.generative.knowledge.model import Document
from gimbal.generative.prompts.model import PromptFile
from gimbal.kernel.errors import GimbalError

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PROMPT, INDEX, SUITE = "prompt:help/answer", "index:help/docs", "suite:help/questions"
QUESTION = "When is a batch committed by the writer?"
MARGIN = 0.02
# Providers that are asked before the built-in one, each with what a small and cheap model of theirs is called.
PREFERRED = (("demo", ""), ("openai", "-mini"), ("anthropic", "haiku"))


def model(openai: OpenAI) -> str:
    """Return the model to call: a real one where the server has a provider for it, else the extractive answerer."""
    if os.environ.get("GIMBAL_DEMO_MODEL"):
        return os.environ["GIMBAL_DEMO_MODEL"]
    listed = [card.id for card in openai.models.list()]
    for provider, wanted in PREFERRED:
        own = [name for name in listed if name.startswith(f"{provider}/")]
        if own:
            return next((name for name in own if wanted in name), own[0])
    return "local/extractive"


def turn(client: gimbal.Client, story: Story) -> None:
    """Take the assistant once around."""
    openai = OpenAI(base_url=f"{client.transport.url}/v1", api_key=client.transport.key or "unused")
    chosen = model(openai)
    with story.step("this repository's docs → index:help/docs, cut along their headings, found by BM25"):
        built = client.indexes.build(name="help/docs", documents=documents())
    story.note(f"{built.ref}: {built.documents} pages, {built.chunks} passages")
    with story.step("two versions of the prompt → prompt:help/answer, one passage of context against four"):
        before, after = versions(client, chosen)
    story.note(
        f"{before} and {after}, answered by {chosen}"
        + (" (a real extractive answerer, in process)" if chosen.startswith("local/") else "")
    )
    ask(client, story, openai, before, chosen)
    with story.step("53 questions about Gimbal, each with answer and page → suite:help/questions"):
        client.suites.create(name="help/questions", examples=questions(), scorers=["token_f1", "source_hit"])
    runs = [evaluated(client, story, ref) for ref in (before, after)]
    compare(client, story, runs)
    promote(client, story, before, after)
    ask(client, story, openai, f"{PROMPT}@production", chosen)
    story.look("what the assistant did, call by call", "/traces")
    story.look("the evaluations", "/evaluations")


def documents() -> list[Document]:
    """Return the pages of the docs that people wrote; the generated reference is looked up elsewhere."""
    pages = sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in {"reference", "decisions"})
    return [Document(source=p.relative_to(DOCS).as_posix(), text=p.read_text(encoding="utf-8")) for p in pages]


def versions(client: gimbal.Client, chosen: str) -> tuple[str, str]:
    """Sync the prompt as it was, with one passage of context, and as the file under demo/prompts is."""
    text = (HERE / "prompts" / "help" / "answer.md").read_text(encoding="utf-8")
    text = text.replace('model = "local/extractive"', f'model = "{chosen}"')
    made = [
        client.prompts.sync(files=[PromptFile(path="help/answer.md", text=some)], note="make demo").prompts[0].ref
        for some in (text.replace("k = 4", "k = 1"), text)
    ]
    return made[0], made[1]


def questions() -> list[Example]:
    """Return the examples of the suite."""
    rows = tomllib.loads((HERE / "questions.toml").read_text(encoding="utf-8"))["example"]
    return [
        Example(
            id=row["id"],
            input={"question": row["question"]},
            expected={"answer": row["answer"], "source": row["source"]},
            cluster=row["cluster"],
        )
        for row in rows
    ]


def ask(client: gimbal.Client, story: Story, openai: OpenAI, prompt: str, chosen: str) -> None:
    """Ask one question as an application would: retrieve, fill the prompt, call through the gateway."""
    with story.step(f"asked through the gateway with the official client: {QUESTION}"):
        with gimbal.trace("help: question", feature="help", user="ada", client=client) as span:
            span.set(input={"question": QUESTION})
            settings = client.prompts.show(prompt).manifest.retrieval
            assert settings is not None
            with gimbal.span("look up the docs", kind="retriever") as inner:
                hits = client.indexes.search(settings.index, query=QUESTION, k=settings.k).hits
                inner.set(input={"query": QUESTION}, output=[hit.source for hit in hits])
            context = "\n\n".join(f"[{i}] {hit.source}\n{hit.text}" for i, hit in enumerate(hits, start=1))
            filled = client.prompts.render(prompt, variables={"context": context, "question": QUESTION})
            answer = openai.chat.completions.create(
                model=chosen,
                messages=[{"role": m.role, "content": m.content} for m in filled.messages],
                user="ada",
                extra_headers={"x-gimbal-feature": "help", "x-gimbal-prompt": filled.ref, **span.headers},
            )
            text = answer.choices[0].message.content or ""
            span.set(output=text)
    usage = answer.usage
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "tokens unknown"
    story.note(f"{text}  ({filled.ref}, {tokens})")


def evaluated(client: gimbal.Client, story: Story, ref: str) -> EvaluationRun:
    """Evaluate one version, or take the evaluation that it has."""
    suite = str(client.assets.show(SUITE).number)
    for run in client.evaluations.list(subject=ref).items:
        if run.status == "done" and str(run.suite) == f"{SUITE}@v{suite}" and str(run.subject) == ref:
            story.note(f"{ref} has been evaluated already")
            return run
    with story.step(f"{ref} put through the suite, as a job in the worker"):
        run = gimbal.evaluate(SUITE, ref, timeout=600, client=client)
    if run.status != "done":
        raise GimbalError(f"The evaluation {run.status}: {run.error}", todo="See the job in the console.")
    for row in run.summaries:
        e = row.estimate
        interval = f"[{e.low:.3f}, {e.high:.3f}]" if e.low is not None and e.high is not None else "(no interval)"
        story.note(f"{row.scorer:<12} {e.value:.3f} {interval} on {e.n} questions in {e.clusters} sections")
    return run


def compare(client: gimbal.Client, story: Story, runs: list[EvaluationRun]) -> None:
    """Compare the two evaluations question by question."""
    with story.step("the two versions compared, paired by question and clustered by section"):
        found = client.evaluations.compare(runs[0].id, to=runs[1].id, margin=MARGIN)
    for row in found.scorers:
        d = row.difference
        interval = f"[{d.low:+.3f}, {d.high:+.3f}]" if d.low is not None and d.high is not None else ""
        story.note(f"{row.scorer:<12} {d.value:+.3f} {interval} {row.verdict}")
    story.look("the comparison", f"/evaluations/compare?before={runs[0].id}&after={runs[1].id}")


def promote(client: gimbal.Client, story: Story, before: str, after: str) -> None:
    """Let the first version in on a floor, then ask the gate whether the second is better."""
    standing = {a.alias for a in client.assets.aliases(PROMPT)}
    floor = Rule(evidence="evaluation", source=SUITE, metric="source_hit", threshold=0.5)
    if "production" not in standing:
        client.gates.set(pattern=f"{PROMPT}@production", rules=[floor])
        with story.step(f"the gate lets {before} in when its pages are right more often than not"):
            decision = gimbal.promote(before, "production", reason="the first version", client=client)
        story.note(f"{decision.verdict}: {decision.text}")
    better = Rule(
        evidence="evaluation", source=SUITE, metric="token_f1", against="incumbent", margin=MARGIN, threshold=0.0
    )
    client.gates.set(pattern=f"{PROMPT}@production", rules=[floor, better])
    if "production" in client.assets.show(after).aliases:
        story.note(f"{after} is in production already")
        return
    past = [
        d for d in client.decisions.list(asset=PROMPT).items if str(d.candidate) == after and d.incumbent is not None
    ]
    if past and str(past[0].incumbent) == str(client.assets.show(f"{PROMPT}@production").ref):
        story.note(f"the gate has decided on {after} already. {past[0].verdict}: {past[0].text}")
        story.look("why the prompt was or was not promoted", f"/gates/decisions/{past[0].id}")
        return
    with story.step(f"the gate compares {after} with what is in production"):
        decision = gimbal.promote(after, "production", reason="more context", client=client)
    story.note(f"{decision.verdict}: {decision.text}")
    story.look("why the prompt was or was not promoted", f"/gates/decisions/{decision.id}")
