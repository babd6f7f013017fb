"""Filters and orders read as MLflow's clients mean them: judged by MLflow's own reader and evaluator where it is installed."""

import contextlib
import json
import math
import random
import string
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.mlflow_clients import VERSIONS, full

from gimbal.axis.runs.model import CreateRun, LogMetric, LogRun, to_wire
from gimbal.axis.runs.search.model import RUNS, RunQuery
from gimbal.axis.runs.search.service import search
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import parse, parse_order

START = datetime(2026, 1, 1, tzinfo=UTC)

# Reads {runs, filters, orders}; writes for each filter which runs pass, for each order how they stand, null where refused.
JUDGE = """
import json, sys
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchUtils
asked = json.load(sys.stdin)
runs = [Run(
    RunInfo(run_id=r["id"], experiment_id="0", user_id=r["user"], status="RUNNING", start_time=r["start"], end_time=None,
            lifecycle_stage="active", run_name=r["name"]),
    RunData([Metric(k, float(v), 0, 0) for k, v in r["metrics"].items()], [Param(k, v) for k, v in r["params"].items()],
            [RunTag(k, v) for k, v in r["tags"].items()])) for r in asked["runs"]]
def tried(make):
    try:
        return [run.info.run_name for run in make()]
    except MlflowException:
        return None
def passed(text):
    # All comparisons of all runs: `filter` finds some that are not allowed only where those before them hold.
    parsed = SearchUtils.parse_search_filter(text)
    told = [[SearchUtils._does_run_match_clause(run, one) for one in parsed] for run in runs]
    return [run for run, one in zip(runs, told) if all(one)]
print(json.dumps({
    "filters": [tried(lambda: passed(text)) for text in asked["filters"]],
    "orders": [tried(lambda: SearchUtils.sort(runs, [text])) for text in asked["orders"]],
}))
"""

METRICS = ["loss", "val.loss", "a b", "x/y", "m-1"]
PARAMS = ["depth", "kind", "a b", "opt.name"]
TAGS = ["team", "mlflow.source", "it's", "weiß"]
TEXTS = ["", "a", "A", "ab", "a%b", "a_b", "it", "x*y", "[z]", "3", "0.5", "true", "null", "ä", "a.b", "back\\slash"]
NUMBERS = [0.0, 0.5, -1.5, 2.0, 1e10, math.inf, -math.inf, math.nan]


def judged(asked: dict[str, Any]) -> dict[str, Any]:
    peer = full(VERSIONS[0])
    done = subprocess.run(
        [peer.python, "-c", JUDGE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=peer.environment(""),
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def key(rng: random.Random, names: list[str]) -> str:
    name = rng.choice(names)
    if not all(part.isidentifier() and part.isascii() for part in name.split(".")) or rng.random() < 0.3:
        return f"`{name}`" if rng.random() < 0.6 or '"' in name else f'"{name}"'
    return name


def quoted(rng: random.Random, text: str) -> str:
    return f"'{text}'" if "'" not in text and rng.random() < 0.7 else f'"{text}"'


def comparison(rng: random.Random) -> str:
    gap = rng.choice(["", " ", "  "])
    match rng.randrange(8):
        case 0 | 1:
            number = rng.choice(["0", "0.5", "-1.5", "2", ".5", "1e10", "-3", "5."])
            op = rng.choice(["=", "!=", "<", "<=", ">", ">="])
            return f"{rng.choice(['metrics', 'metric'])}.{key(rng, METRICS)}{gap}{op}{gap}{number}"
        case 2 | 3:
            op = rng.choice(["=", "!=", " LIKE ", " ilike "])
            pattern = rng.choice([*TEXTS, "a%", "%b", "_", "%", "%.%", "a_b"])
            return (
                f"{rng.choice(['params', 'param', 'parameter'])}.{key(rng, PARAMS)}{gap}{op}{gap}{quoted(rng, pattern)}"
            )
        case 4:
            op = rng.choice(["=", "!=", " LIKE ", " IS NULL", " IS NOT NULL", " is null"])
            value = "" if "NULL" in op.upper() else quoted(rng, rng.choice([*TEXTS, "%a%"]))
            return f"{rng.choice(['tags', 'tag'])}.{key(rng, TAGS)}{op}{value}"
        case 5:
            op = rng.choice(["=", "!=", "<", "<=", ">", ">="])
            name = rng.choice(["start_time", "attributes.start_time", "created", "attr.Created"])
            return f"{name}{gap}{op}{gap}{int(START.timestamp() * 1000) + 60_000 * rng.randrange(12)}"
        case 6:
            name = rng.choice(["run_name", "attribute.run_name", "`run name`", "user_id", "status"])
            return f"{name}{gap}{rng.choice(['=', '!=', ' LIKE '])}{gap}{quoted(rng, rng.choice(['r1', 'r%', 'RUNNING', 'u']))}"
        case _:
            # Things that are no comparison, or one that is not allowed.
            return rng.choice(
                [
                    "metrics.loss > 'a'", "params.depth = 3", "params.depth > '3'", "metrics.loss LIKE '1'", "name = 'x'",
                    "metrics.loss > 1 OR metrics.loss < 0", "(metrics.loss > 1)", "metrics.loss IS NULL", "status IS NULL",
                    "nothing.a = 'b'", "metrics.loss >", "status IN ('RUNNING')", "tags.team = 'a'; DROP", "metrics.a-b > 1",
                    "params.kind NOT LIKE 'a'", "metrics.loss > 0x10", "params.kind = `a`", "metrics.loss BETWEEN 1 AND 2",
                ]
            )  # fmt: skip


def filters(rng: random.Random, count: int) -> list[str]:
    joints = [" AND ", " and ", "  AND\t", "\nAND "]
    return [rng.choice(joints).join(comparison(rng) for _ in range(rng.choice([1, 1, 2, 3]))) for _ in range(count)]


async def test_filters_and_orders_give_what_mlflow_gives(runs: Runs, ctx: Context) -> None:
    """Random runs, filters and orders: the same are refused, and the same runs come in the same order."""
    rng = random.Random(20)
    told: list[dict[str, Any]] = []
    for number in range(12):
        metrics = {name: rng.choice(NUMBERS) for name in METRICS if rng.random() < 0.6}
        params = {name: rng.choice(TEXTS) for name in PARAMS if rng.random() < 0.6}
        tags = {name: rng.choice(TEXTS) for name in TAGS if rng.random() < 0.6}
        started = START + timedelta(minutes=number)
        body = CreateRun(
            name=f"r{number}", params=params, tags=tags, started_at=started, user="u" if number % 2 else "v"
        )
        run = await runs.create(ctx, body)
        points = [LogMetric(name=name, value=to_wire(value)) for name, value in metrics.items()]
        await runs.log(ctx, run.id, LogRun(metrics=points))
        told.append(
            {
                "id": run.id.replace("-", ""), "name": run.name, "user": run.user, "params": params, "tags": tags,
                "start": int(started.timestamp() * 1000), "metrics": {k: str(v) for k, v in metrics.items()},
            }
        )  # fmt: skip
    texts = filters(rng, 400)
    orders = [
        f"{place}{way}"
        for place in (
            *(f"metrics.`{name}`" for name in METRICS), *(f"params.`{name}`" for name in PARAMS), "tags.team", "tags.`it's`",
            "start_time", "attributes.start_time", "Created", "run_name", "status", "user_id", "run_id", "name", "metrics.none",
        )
        for way in ("", " ASC", " desc", " DESC")
    ]  # fmt: skip
    verdict = judged({"runs": told, "filters": texts, "orders": orders})

    passed = 0
    for text, expected in zip(texts, verdict["filters"], strict=True):
        assert await _names(ctx, RunQuery(filter=text, limit=100), ordered=False) == expected, text
        passed += expected is not None
    assert passed > 200
    default = (await runs.experiments.default(ctx)).key
    for text, expected in zip(orders, verdict["orders"], strict=True):
        # MLflow's own evaluator is not its database: it turns the tie-break around with DESC, and puts NaN elsewhere.
        for experiments in (None, [default]):
            found = await _names(ctx, RunQuery(order=[text], limit=100, experiments=experiments), ordered=True)
            assert (found is None) == (expected is None), text
            if found is not None and _ties_are_none(text, told):
                assert found == expected, text


async def _names(ctx: Context, query: RunQuery, *, ordered: bool) -> list[str] | None:
    try:
        found = [row.name for row in (await search(ctx, query)).items]
    except BadInput:
        return None
    return found if ordered else sorted(found, key=lambda name: int(name[1:]))


def _ties_are_none(order: str, told: list[dict[str, Any]]) -> bool:
    """Tell whether every run has another value there, none of them NaN or missing."""
    name = order.split(".", 1)[-1].rsplit(" ", 1)[0].strip("`") if "." in order else order.split(" ", maxsplit=1)[0]
    kind = order.split(".", 1)[0]
    if kind in {"metrics", "params", "tags"}:
        values = [run[kind].get(name) for run in told]
        return None not in values and "nan" not in values and len(set(values)) == len(values)
    return name not in {"status", "user_id"}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_is_read_or_refused(seed: int) -> None:
    """Never another error, however odd the text, and quickly."""
    rng = random.Random(seed)
    alphabet = string.printable + "`'\"äß\0\u2028 ANDLIKEnulIN()"
    for _ in range(3_000):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(40)))
        if rng.random() < 0.5:
            text = comparison(rng) + text
        for read in (lambda t: parse(t, RUNS), lambda t: parse_order([t], RUNS)):
            with contextlib.suppress(BadInput):
                read(text)


@pytest.mark.parametrize(
    ("text", "key"), [("metrics.`a``b`", "a`b"), ('metrics."a``b"', "a``b"), ("metrics.````", "`")]
)
def test_a_backtick_within_backticks_stands_twice(text: str, key: str) -> None:
    """In comparisons and in orders."""
    assert parse(f"{text} > 1", RUNS)[0].key == key
    assert parse_order([text], RUNS)[0].key == key


def test_long_texts_are_read_in_no_time() -> None:
    many = ", ".join(f"'{n}'" for n in range(12_000))
    assert len(parse(f"run_id IN ({many})", RUNS)[0].value) == 12_000  # pyright: ignore[reportArgumentType]
    # Beyond all that can be counted, and no trouble.
    assert parse("metrics.a < " + "1" * 99_000, RUNS)[0].value == math.inf
    for text in (
        "'" * 99_999,
        "`" * 99_999,
        "a." * 50_000,
        "(" * 99_999,
        "metrics.a > 1 AND " * 5_000,
        "-" * 99_999,
        "1" * 99_999,
    ):
        with pytest.raises(BadInput):
            parse(text, RUNS)
