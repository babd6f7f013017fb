"""What a filter lets through, in which order, and that pages give each run once, also while new ones come."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gimbal.axis.runs.inputs import DatasetInput, InputDataset, put_inputs
from gimbal.axis.runs.model import CreateRun, FinishRun, LogMetric, LogRun, to_wire
from gimbal.axis.runs.search.model import RunQuery
from gimbal.axis.runs.search.service import search
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

START = datetime(2026, 1, 1, tzinfo=UTC)


async def made(
    runs: Runs,
    ctx: Context,
    name: str,
    *,
    metrics: dict[str, float] | None = None,
    params: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    minute: int = 0,
    experiment: str = "default",
) -> str:
    body = CreateRun(
        name=name,
        params=params or {},
        tags=tags or {},
        started_at=START + timedelta(minutes=minute),
        experiment=experiment,
        user=f"user {name}",
    )
    run = await runs.create(ctx, body)
    if metrics:
        points = [LogMetric(name=key, value=to_wire(value), step=1) for key, value in metrics.items()]
        await runs.log(ctx, run.id, LogRun(metrics=points))
    return run.id


async def names(ctx: Context, filter: str = "", order: Sequence[str] = (), **more: Any) -> list[str]:  # noqa: A002
    return [row.name for row in (await search(ctx, RunQuery(filter=filter, order=list(order), **more))).items]


@pytest.fixture
async def four(runs: Runs, ctx: Context) -> Runs:
    """Give four runs: a is the oldest, d has nothing."""
    await made(
        runs, ctx, "a", metrics={"loss": 0.5, "x/y z": 1}, params={"depth": 3, "kind": "tree"}, tags={"team": "Ops"}
    )
    await made(
        runs,
        ctx,
        "b",
        metrics={"loss": math.nan},
        params={"depth": "3", "kind": "Tree"},
        tags={"t`q": "it's"},
        minute=1,
    )
    await made(
        runs, ctx, "c", metrics={"loss": -math.inf, "acc": 2}, params={"kind": "a*b"}, tags={"team": "ops"}, minute=2
    )
    await made(runs, ctx, "d", minute=3)
    return runs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "dcba"),
        ("metrics.loss > 0", "a"),
        ("metrics.loss < 0", "c"),
        ("metrics.loss != 0.5", "cb"),
        ("metrics.loss = 0.5", "a"),
        ("metrics.loss <= 0.5 and metrics.acc >= 2", "c"),
        ("metrics.`x/y z` = 1", "a"),
        ('metric."x/y z" = 1', "a"),
        ("metrics.unknown < 1", ""),
        ("params.depth = '3'", "ba"),
        ("params.depth != '3'", ""),
        ("params.kind != 'tree'", "cb"),
        ("params.kind LIKE 'tre%'", "a"),
        ("params.kind ILIKE 'tre_'", "ba"),
        ("params.kind LIKE 'a*_'", "c"),
        ("params.kind LIKE '%[%'", ""),
        ("params.kind IS NULL", "d"),
        ("params.kind IS NOT NULL AND tags.team IS NULL", "b"),
        ("tags.team = 'ops'", "c"),
        ("tags.team ILIKE 'OPS'", "ca"),
        ('tags."t`q" = "it\'s"', "b"),
        ("attributes.run_name = 'a'", "a"),
        ("`Run name` LIKE '_'", "dcba"),
        ("name_of = 'x'", None),
        ("user_id = 'user c'", "c"),
        ("status = 'RUNNING'", "dcba"),
        ("status = 'finished'", ""),
        ("start_time >= 1767225660000", "dcb"),
        ("start_time = 1767225660000", "b"),
        ("created < 1767225660000.5", "ba"),
        ("start_time > 1767225659999.5 AND start_time != 1767225720000", "db"),
        ("end_time > 0", ""),
        ("end_time < 99999999999999999999999", ""),
        ("metrics.loss < 1e999", "ca"),
        ("artifact_uri LIKE 'mlflow-artifacts:/0/%/artifacts'", "dcba"),
        ("metrics.loss > 0 OR metrics.loss < 0", None),
        ("(metrics.loss > 0)", None),
        ("metrics.loss > 0; DROP TABLE runs", None),
        ("metrics.loss > '0'", None),
        ("params.depth > '3'", None),
        ("metrics.loss IS NULL", None),
        ("status IN ('RUNNING')", None),
        ("run_id IN ()", None),
        ("tags.team = ops", None),
        ("tags.x = 'a\\' OR 1=1 --'", None),
        ("params.kind LIKE '" + "%" * 5001 + "'", None),
    ],
)
async def test_a_filter_lets_through_what_it_says(four: Runs, ctx: Context, text: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(BadInput) as told:
            await names(ctx, text)
        assert told.value.where == "filter"
    else:
        assert "".join(await names(ctx, text)) == expected
        assert "".join(await names(ctx, text, experiments=[(await four.experiments.default(ctx)).key])) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["metrics.loss ASC"], "cabd"),
        (["metrics.loss DESC"], "acbd"),
        (["metrics.unknown"], "dcba"),
        (["params.kind"], "bcad"),
        (["params.kind DESC"], "acbd"),
        (["tags.team DESC", "start_time"], "cabd"),
        (["start_time ASC"], "abcd"),
        (["attributes.end_time", "run_name desc"], "dcba"),
        (["status", "Created"], "abcd"),
        (["run_name DESC"], "dcba"),
        (["metrics.acc", "metrics.loss"], "cabd"),
    ],
)
async def test_an_order_has_values_then_nan_then_those_without(
    four: Runs, ctx: Context, order: list[str], expected: str
) -> None:
    key = (await four.experiments.default(ctx)).key
    for experiments in (None, [key], [key, key + 1000]):
        assert "".join(await names(ctx, order=order, experiments=experiments)) == expected
        for limit in (1, 2, 3, 4):
            found, cursor, pages = "", None, 0
            while pages == 0 or cursor:
                page = await search(ctx, RunQuery(order=order, experiments=experiments, limit=limit, cursor=cursor))
                found += "".join(row.name for row in page.items)
                cursor, pages = page.next, pages + 1
            assert (found, pages) == (expected, -(-4 // limit))


async def test_ids_are_found_with_and_without_dashes(runs: Runs, ctx: Context) -> None:
    first, second = [await made(runs, ctx, name) for name in "ab"]
    short = first.replace("-", "")
    assert await names(ctx, f"run_id = '{first}'") == await names(ctx, f"run_id = '{short}'") == ["a"]
    assert await names(ctx, f"attributes.run_id IN ('{short}', 'nothing')") == ["a"]
    assert await names(ctx, f"run_id NOT IN ('{first}')") == await names(ctx, f"run_id != '{short}'") == ["b"]
    assert await names(ctx, f"run_id LIKE '{second[:13]}%' AND run_id ILIKE '%{second[-4:].upper()}'") == ["b"]


async def test_pages_are_not_shifted_by_new_runs(runs: Runs, ctx: Context) -> None:
    for number in range(10):
        await made(runs, ctx, str(number), metrics={"m": number % 3}, minute=number)
    key = (await runs.experiments.default(ctx)).key
    for order in ([], ["metrics.m DESC"], ["run_name"]):
        query = RunQuery(order=order, limit=4, experiments=[key])
        first = await search(ctx, query)
        await made(runs, ctx, "new", metrics={"m": 2}, minute=100)
        second = await search(ctx, RunQuery(order=order, limit=100, experiments=[key], cursor=first.next))
        seen = [row.id for row in (*first.items, *second.items) if row.name != "new"]
        assert len(seen) == len(set(seen)) == 10


async def test_experiments_and_stages_are_kept_apart(runs: Runs, ctx: Context) -> None:
    await made(runs, ctx, "a", experiment="one", metrics={"m": 1})
    gone = await made(runs, ctx, "b", experiment="two", metrics={"m": 1})
    await made(runs, ctx.within("flights"), "c", experiment="one", metrics={"m": 1})
    await runs.set_stage(ctx, gone, "deleted")
    one, two = [(await runs.experiments.named(ctx, name)).key for name in ("one", "two")]
    other = (await runs.experiments.named(ctx.within("flights"), "one")).key

    for text, order in (
        ("", []),
        ("metrics.m = 1", []),
        ("metrics.m = 1", ["metrics.m"]),
        ("", ["metrics.m", "status"]),
    ):
        assert await names(ctx, text, order) == ["a"]
        assert await names(ctx, text, order, view="deleted") == ["b"]
        assert sorted(await names(ctx, text, order, view="all")) == ["a", "b"]
        assert await names(ctx, text, order, experiments=[two], view="all") == ["b"]
        assert await names(ctx, text, order, experiments=[one, two, 2**70, -1]) == ["a"]
        assert await names(ctx, text, order, experiments=[]) == []
        assert await names(ctx, text, order, experiments=[other]) == []


async def test_datasets_are_compared_by_name_digest_and_context(runs: Runs, ctx: Context) -> None:
    read, unread = [await runs.desk.of(ctx, await made(runs, ctx, name)) for name in "ab"]
    one = DatasetInput(dataset=InputDataset(name="flights", digest="d1"), tags={"mlflow.data.context": "Train"})
    await put_inputs(ctx.get(Catalog), ctx, read, [one])
    assert unread.name == "b"
    for text in (
        "dataset.name = 'flights'",
        "datasets.digest IN ('d0', 'd1')",
        "dataset.context = 'Train'",
        "dataset.context ILIKE 'tr%'",
        "dataset.context NOT IN ('eval')",
        "dataset.name LIKE 'fl%' AND dataset.digest != 'd2'",
    ):
        assert await names(ctx, text) == ["a"], text
    for text in ("dataset.context = 'train'", "dataset.name = 'x'", "dataset.context LIKE 'tr%'"):
        assert await names(ctx, text) == [], text


async def test_a_run_that_is_dead_is_killed_for_others(runs: Runs, ctx: Context) -> None:
    await runs.finish(ctx, await made(runs, ctx, "a"), FinishRun(status="killed"))
    await made(runs, ctx, "b")
    assert await names(ctx, "status = 'KILLED'") == ["a"]
    assert await names(ctx, "status = 'DEAD'") == []
    assert await names(ctx, "status LIKE 'RUN%'") == ["b"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "eyJvZmZzZXQiOiAxMDB9", "e30", "W10", "A" * 100_000, "bnVsbA", "eyJvZiI6MX0"]
)
async def test_a_cursor_of_elsewhere_is_refused(four: Runs, ctx: Context, cursor: str) -> None:
    with pytest.raises(BadInput) as told:
        await search(ctx, RunQuery(cursor=cursor))
    assert told.value.where == "cursor"


async def test_a_cursor_belongs_to_its_search(four: Runs, ctx: Context) -> None:
    cursor = (await search(ctx, RunQuery(limit=1))).next
    for other in (RunQuery(filter="metrics.loss > 0", cursor=cursor), RunQuery(order=["run_name"], cursor=cursor)):
        with pytest.raises(BadInput, match="not made by this search"):
            await search(ctx, other)


@pytest.mark.parametrize(
    "order",
    [
        ["metrics.a", "metrics.a DESC"],
        ["created", "start_time"],
        ["nothing"],
        ["dataset.name"],
        ["metrics.a; DROP"],
        [""],
        ["a"] * 21,
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(four: Runs, ctx: Context, order: list[str]) -> None:
    with pytest.raises(BadInput) as told:
        await names(ctx, order=order)
    assert told.value.where == "order"


async def test_a_few_that_pass_are_found_among_many(runs: Runs, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way is taken, the answer is the same."""
    for number in range(30):
        await made(runs, ctx, str(number), metrics={"m": number, "n": -number}, minute=number)
    text = "metrics.m > 3 AND metrics.n >= -6 AND metrics.m != 5"
    expected = ["6", "4"]
    assert await names(ctx, text) == expected
    monkeypatch.setattr("gimbal.axis.runs.search.service._FEW", 1)
    assert await names(ctx, text) == expected
    assert await names(ctx, text, ["metrics.m"], experiments=[(await runs.experiments.default(ctx)).key]) == ["4", "6"]
