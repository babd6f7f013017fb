"""A small installation with one of everything that a page can show, hostile words among it; made through the SDK."""

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from urllib.parse import quote

import msgspec
import numpy as np
import optuna
import pandas as pd
from sklearn.linear_model import LogisticRegression

import gimbal
from gimbal.axis.endpoints.model import Target
from gimbal.axis.evals.model import Example
from gimbal.axis.gates.model import Decision, Rule
from gimbal.axis.monitors.model import Label
from gimbal.generative.knowledge.model import Document
from gimbal.generative.prompts.model import PromptFile
from gimbal.kernel.context import Role

# What a stranger may put into a name, a question or an answer: none of it may ever run, and none may break the page.
SCRIPT = "<script>window.pwned=1</script>"
IMAGE = '"><img src=x onerror=window.pwned=1>'
SESSION = f"chat/7 {SCRIPT}"
LONG = "an_unbroken_name_" * 9
FEATURES = ["hour", "wind"]
PROMPT = """+++
model = "local/extractive"
description = "Answers from two pages."

[params]
temperature = 0.0
max_tokens = 60

[retrieval]
index = "index:help/docs"
k = {k}
+++

## system
Use only the numbered sources. {words}

## user
{{{{context}}}}

Question: {{{{question}}}}
"""
PAGES = {
    "writer.md": "# Writer\n\nA batch is committed at 10,000 rows or after 50 milliseconds.\n\n## Queue\n\nA full queue "
    "answers 429 with Retry-After.\n",
    "runs.md": "# Runs\n\nA run is one tracked computation with parameters and metrics.\n\n## Time\n\nTimes are UTC "
    "with microseconds.\n",
}
ROUTE = f"""name = "help/asked"
description = '{SCRIPT}'
targets = ["nobody/tiny", "local/extractive"]

[[rules]]
name = '{IMAGE}'
when = {{ feature = "search*", tag = ["team:red", '{SCRIPT}'] }}
targets = ["local/extractive"]
strategy = "weighted"
"""
QUESTIONS = [
    ("When is a batch committed?", "at 10,000 rows or after 50 milliseconds", "writer.md"),
    ("What does a full queue answer?", "429 with Retry-After", "writer.md"),
    ("What is a run?", "one tracked computation with parameters and metrics", "runs.md"),
    ("In which zone are times?", "UTC with microseconds", "runs.md"),
]

COSTS = {
    "costs": ("/costs?whole=1&by=feature&then=model", "Costs", "Costs"),
    "costs-lazy": ("/costs?range=month&where=provider=openai", "Costs", "Costs"),
    "cost-classes": ("/costs?whole=1&by=tag:team&show=classes&range=24h", "Costs", "Costs"),
    "budgets": ("/costs/budgets", "Budget lines", "Costs"),
    "unpriced": ("/costs/unpriced", "Unpriced calls", "Costs"),
    "reconcile": ("/costs/reconcile", "Reconcile", "Costs"),
    "prices": ("/prices", "Prices", "Costs"),
    "price": ("/prices/model?provider=openai&model=gpt-4o", "gpt-4o", "Costs"),
    "price-form": ("/prices/set?provider=openai&model=gpt-4o", "Set a price", "Costs"),
}
"""Pages of what it all costs."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the things that were made have their pages, by name; paths with a leading slash."""

    url: str
    pages: dict[str, tuple[str, str, str]]
    """Path, heading and the word of the sidebar that must be marked."""


def searched(client: gimbal.Client) -> int:
    """Search for a parameter; return the number of the study."""
    study = optuna.create_study(storage=gimbal.OptunaStorage(client), study_name="rate")
    study.optimize(lambda trial: trial.suggest_float("rate", 0.0, 1.0) ** 2, n_trials=6)
    return client.studies.show("rate").number


def fill(url: str) -> Places:
    """Make everything; return where it is shown."""
    client = gimbal.Client(url)
    client.projects.create(slug="empty", title="Nothing in it")
    run, decision = predictive(client)
    evaluations, refused, trace = generative(client)
    client.keys.create(name=f"nightly {IMAGE}", role=Role.DEVELOPER, days=30)
    revoked = client.keys.create(name="old laptop")
    pricing(client)
    spending(client)
    client.keys.revoke(revoked.key.id)
    (job, *_) = client.jobs.list().items
    model, prompt = "/assets/model:flights%2Fdelay", "/assets/prompt:help%2Fanswer@v2"
    here = {
        "home": ("", "Home", "Home"),
        "runs": ("/runs", "Runs", "Runs"),
        "run": (f"/runs/{run}", f"train {SCRIPT}", "Runs"),
        "runs-compared": (f"/runs/compare?runs={run}", "Compare runs", "Runs"),
        "studies": ("/studies", "Studies", "Studies"),
        "study": (f"/studies/{searched(client)}", "rate", "Studies"),
        "assets": ("/assets", "Assets", "Assets"),
        "dataset": ("/assets/dataset:flights%2Ftrain", "flights/train", "Assets"),
        "model": (model, "flights/delay", "Assets"),
        "prompt": (prompt, "help/answer", "Assets"),
        "suite": ("/assets/suite:help%2Fquestions", "help/questions", "Assets"),
        "index": ("/assets/index:help%2Fdocs", "help/docs", "Assets"),
        **improving(client),
        "versions": (f"{prompt}?tab=versions", "help/answer", "Assets"),
        "history": (f"{model}?tab=history", "flights/delay", "Assets"),
        "lineage": (f"{model}?tab=lineage", "flights/delay", "Assets"),
        "files": (f"{model}?tab=files", "flights/delay", "Assets"),
        "difference": (f"{prompt}/compare", "v1 and v2", "Assets"),
        "evaluations": ("/evaluations", "Evaluations", "Evaluations"),
        "evaluation-new": (
            "/evaluations/new?suite=suite:help/questions&subject=prompt:help/answer",
            "New evaluation",
            "Evaluations",
        ),
        "evaluation": (f"/evaluations/{evaluations[0]}", "prompt:help/answer@v1", "Evaluations"),
        "comparison": (
            f"/evaluations/compare?before={evaluations[0]}&after={evaluations[1]}",
            "prompt:help/answer@v2 against prompt:help/answer@v1",
            "Evaluations",
        ),
        "gates": ("/gates", "Gates", "Gates"),
        "decision": (f"/gates/decisions/{decision.id}", "model:flights/delay@production", "Gates"),
        "refusal": (f"/gates/decisions/{refused.id}", "prompt:help/answer@production", "Gates"),
        "endpoints": ("/endpoints", "Endpoints", "Endpoints"),
        "endpoint": ("/endpoints/delay", "delay", "Endpoints"),
        **gateway(client),
        "traces": ("/traces", "Traces", "Traces"),
        "trace": (f"/traces/{trace}", f"question {SCRIPT}", "Traces"),
        "sessions": ("/sessions", "Sessions", "Sessions"),
        "session": (f"/sessions/{quote(SESSION, safe='')}", SESSION, "Sessions"),
        "monitors": ("/monitors", "Monitors", "Monitors"),
        "monitor": ("/monitors/delay-quality", "delay-quality", "Monitors"),
        "jobs": ("/jobs", "Jobs", "Jobs"),
        "job": (f"/jobs/{job.id}", "evals.run", "Jobs"),
        "audit": ("/audit?check=1", "Audit", "Audit"),
        **COSTS,
        "sql": (
            f"/sql?q={quote(f'SELECT name, count() AS spans, {chr(39)}{IMAGE}{chr(39)} AS said FROM spans GROUP BY 1')}",
            "SQL",
            "SQL",
        ),
        "sql-refused": ("/sql?q=SELECT%201%20FROM%20system.tables", "SQL", "SQL"),
        "redaction": ("/redaction", "Redaction", "Redaction"),
        "retention": ("/retention", "Retention", "Retention"),
        "access": ("/access?revoked=1", "Access", "Access"),
        "settings": ("/settings", "Settings", "Settings"),
    }
    pages = {name: (f"/p/default{path}", heading, nav) for name, (path, heading, nav) in here.items()}
    client.close()
    return Places(url=url, pages=pages | {"reference": ("/docs/api", "API reference", "")})


def pricing(client: gimbal.Client) -> None:
    """Set prices of all kinds."""
    contract = f"contract {SCRIPT} {LONG}"
    client.prices.set(provider="openai", model="gpt-4o", input=Decimal(2), output=Decimal(8), source=contract)
    client.prices.set(provider="anthropic", model="*", factor=Decimal("0.88"), note=IMAGE, source="https://here")
    later = date(datetime.now(UTC).year + 1, 1, 1)
    client.prices.set(provider="openai", model="gpt-4o", input=Decimal(1), output=Decimal(4), valid_from=later)


def gateway(client: gimbal.Client) -> dict[str, tuple[str, str, str]]:
    """Publish a route; return the pages of the gateway."""
    client.routes.publish(text=ROUTE, note=IMAGE)
    return {
        "gateway": ("/gateway", "Gateway", "Gateway"),
        "routes": ("/gateway/routes", "Routes", "Gateway"),
        "route": ("/gateway/routes/route:help%2Fasked?try=1&feature=search", "help/asked", "Gateway"),
        "providers": ("/gateway/providers", "Providers", "Gateway"),
        "playground": (
            f"/gateway/playground?model=local/extractive&model=prompt:help/answer@v2&message=user:{quote(SCRIPT)}",
            "Playground",
            "Gateway",
        ),
    }


def spending(client: gimbal.Client) -> None:
    """Make calls with and without a price, budget lines above and below what they cost, and import a bill."""
    for number in range(12):
        model = ("gpt-4o", "gpt-4o-mini", f"house {SCRIPT} {LONG}")[number % 3]
        with gimbal.trace(f"call {number}", kind="llm", feature=f"f{number % 4} {IMAGE}", client=client) as call:
            call.set(**{"gen_ai.provider.name": "openai", "gen_ai.request.model": model})
            call.set(**{"gen_ai.usage.input_tokens": 200_000 * (number + 1), "gen_ai.usage.output_tokens": 900})
            call.set(**{"gimbal.tags": ["team:red" if number % 2 else f"team:{SCRIPT}"]})
    gimbal.flush()
    client.ledger.set_budget(name=f"all {IMAGE}", amount=Decimal(1), period="month")
    client.ledger.set_budget(name=LONG, amount=Decimal(5000), period="week", dimension="provider", value="openai")
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begins, ends = int(day.timestamp()), int(day.timestamp()) + 86_400
    bill = f'start_time,end_time,amount_value,amount_currency,line_item\n{begins},{ends},1.25,usd,"gpt-4o, input"\n'
    client.ledger.import_(bill.encode(), format="openai-costs", filename=f"bill {IMAGE}")


def weather(rows: int, start: datetime, seed: int) -> pd.DataFrame:
    """Return departures every ten minutes: late when the wind is strong, by chance in part."""
    chance = np.random.default_rng(seed)
    table = pd.DataFrame({"hour": chance.integers(5, 23, rows).astype(float), "wind": chance.gamma(2.0, 4.0, rows)})
    table["late"] = (chance.random(rows) < 1 / (1 + np.exp(-(table.wind - 9) / 2))).astype(int)
    table["at"] = [start + timedelta(minutes=10 * i) for i in range(rows)]
    return table


def predictive(client: gimbal.Client) -> tuple[str, Decision]:
    """Turn the predictive ring; return the run and the gate's decision."""
    train, held_out = (weather(800, datetime(2026, month, 1, tzinfo=UTC), month) for month in (1, 2))
    refs: list[str] = []
    for name, table in (("flights/train", train), ("flights/held-out", held_out)):
        buffer = BytesIO()
        table[[*FEATURES, "late"]].to_parquet(buffer, index=False)
        version = client.datasets.create(buffer.getvalue(), name=name)
        refs.append(f"dataset:{version.name}@v{version.number}")
    params = {"C": 1.0, "solver": "lbfgs", "note": IMAGE}
    tags = {"origin": SCRIPT}
    with gimbal.run(
        f"train {SCRIPT}", experiment=LONG, params=params, inputs=refs[:1], tags=tags, client=client
    ) as run:
        for step in range(6):
            run.log({"loss": 0.7 * 0.9**step, "auc": 0.6 + step / 50}, step=step)
        model = LogisticRegression().fit(train[FEATURES], train.late == 1)
        gimbal.log_model("flights/delay", model, example=train[FEATURES].head(), inputs=refs[:1], client=client)
        run.artifact("notes.txt", f"kept {IMAGE}")
    rule = Rule(evidence="dataset", source=refs[1], metric="auc", threshold=0.6)
    client.gates.set(pattern="model:flights/delay@production", rules=[rule])
    decision = gimbal.promote("model:flights/delay@v1", "production", reason=f"first turn {IMAGE}", client=client)
    client.endpoints.set(slug="delay", targets=[Target(ref="model:flights/delay@production")])
    later = weather(900, datetime(2026, 3, 20, tzinfo=UTC), 3)
    times = [at.to_pydatetime() for at in later["at"]]
    entities = [f"flight {i} {SCRIPT}" for i in range(len(later))]
    answer = gimbal.predict("delay", later[FEATURES], event_time=times, entity=entities, client=client)
    told = zip(answer.ids, later.late.tolist(), times, strict=True)
    labels = [Label(prediction_id=id_, value=late, at=at + timedelta(days=1)) for id_, late, at in told]
    client.labels.add(endpoint="delay", labels=labels)
    client.monitors.set(
        slug="delay-quality", endpoint="delay", reference=refs[0], baseline=refs[1], label="late", window="week"
    )
    gimbal.drift("delay-quality", client=client)
    client.schedules.set(slug="nightly", cron="0 6 * * *", job="monitors.run", payload={"monitor": "delay-quality"})
    return run.id, decision


def improving(client: gimbal.Client) -> dict[str, tuple[str, str, str]]:
    """Look for a better prompt, a little; return the pages of prompts and of the search."""
    examples = [
        Example(id=f"o{number}", input={"question": f"{question} {number}?"}, expected={"answer": answer})
        for number, (question, answer, _) in enumerate(QUESTIONS * 3)
    ]
    client.suites.create(name="help/more", examples=examples, scorers=["token_f1"])
    found = client.prompts.optimise("prompt:help/answer@v1", suite="suite:help/more", rounds=2, minibatch=2)
    while found.status in {"queued", "running"}:
        time.sleep(0.2)
        found = client.optimisations.show(found.id)
    return {
        "prompts": ("/prompts", "Prompts", "Prompts"),
        "prompt-page": ("/prompts/prompt:help%2Fanswer", "help/answer", "Prompts"),
        "prompt-compare": ("/prompts/prompt:help%2Fanswer/compare?before=v1&after=v2", "v1 and v2", "Prompts"),
        "prompt-try": ("/prompts/prompt:help%2Fanswer@v2/try", "Try v2", "Prompts"),
        "prompt-edit": ("/prompts/prompt:help%2Fanswer/edit", "Edit help/answer", "Prompts"),
        "prompt-new": ("/prompts/new", "New prompt", "Prompts"),
        "optimisations": ("/optimisations", "Optimisations", "Gateway"),
        "optimisation": (f"/optimisations/{found.id}", "prompt:help/answer@v1, improved", "Gateway"),
    }


def generative(client: gimbal.Client) -> tuple[list[str], Decision, str]:
    """Turn the generative ring; return two evaluations, a refusal, and a trace."""
    documents = [Document(source=source, text=text) for source, text in PAGES.items()]
    client.indexes.build(name="help/docs", documents=documents)
    for k, words in ((2, "Answer briefly."), (1, f"Answer {SCRIPT}.")):
        text = PROMPT.format(k=k, words=words)
        client.prompts.sync(files=[PromptFile(path="help/answer.md", text=text)], note=f"k = {k} {IMAGE}")
    examples = [
        Example(
            id=f"q{number}",
            input={"question": f"{question} {SCRIPT}"},
            expected={"answer": answer, "source": source},
            cluster=source,
        )
        for number, (question, answer, source) in enumerate(QUESTIONS, start=1)
    ]
    client.suites.create(name="help/questions", examples=examples, scorers=["token_f1", "source_hit"])
    runs = [
        gimbal.evaluate("suite:help/questions", f"prompt:help/answer@v{number}", client=client) for number in (1, 2)
    ]
    client.assets.move_alias("prompt:help/answer", "production", to="v1", reason=IMAGE)
    better = Rule(
        evidence="evaluation", source="suite:help/questions", metric="token_f1", against="incumbent", margin=0.01
    )
    client.gates.set(pattern="prompt:help/answer@production", rules=[better])
    refused = gimbal.promote("prompt:help/answer@v2", "production", reason="less context", client=client)
    with gimbal.trace(f"question {SCRIPT}", feature=LONG, user=IMAGE, session=SESSION, client=client) as span:
        span.set(input={"question": IMAGE})
        with gimbal.trace("look up", kind="retriever", client=client) as inner:
            inner.set(input={"query": SCRIPT}, output=[IMAGE, "runs.md"])
        with gimbal.trace("chat", kind="llm", client=client) as call:
            call.set(input=[{"role": "user", "content": SCRIPT}], output=[{"role": "assistant", "content": IMAGE}])
        span.set(output=f"An answer. {SCRIPT}")
    gimbal.flush()
    return [run.id for run in runs], refused, span.trace_id
