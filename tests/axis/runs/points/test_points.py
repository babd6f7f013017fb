"""What is acknowledged is read at once, every point once; the newest is the same whatever comes in whichever order."""

import asyncio
import itertools
import math
import random
from pathlib import Path

import pytest

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import CreateRun
from gimbal.axis.runs.points.model import Place, Point, PointBatch, place_of, rank_of
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import Busy

ALL = 100_000


def batch(name: str, *points: tuple[int, int, float]) -> PointBatch:
    return PointBatch(
        names=[name] * len(points),
        steps=[step for step, _, _ in points],
        at_us=[at for _, at, _ in points],
        values=[value for _, _, value in points],
    )


def shown(points: list[Point]) -> list[tuple[int, int, str]]:
    return [(step, at, str(value)) for step, at, value in points]


async def test_what_is_acknowledged_is_read_at_once(points: Points, run: RunRow) -> None:
    for number in range(5):
        await points.put(run, batch("loss", (number, number, number / 10)))

        assert (await points.latest([run]))[run.id]["loss"] == Point(number, number, number / 10)
        assert len(await points.history(run, "loss", limit=ALL)) == number + 1


async def test_points_that_differ_in_their_value_only_are_kept_apart(points: Points, run: RunRow) -> None:
    """In a tight loop the step is 0 and the clock stands still; what is sent twice is still one."""
    same = batch("loss", (0, 7, 0.5), (0, 7, 0.25), (0, 7, math.nan), (0, 7, -math.inf))

    await points.put(run, same)
    await points.put(run, same)

    assert shown(await points.history(run, "loss", limit=ALL)) == [
        (0, 7, "-inf"),
        (0, 7, "0.25"),
        (0, 7, "0.5"),
        (0, 7, "nan"),
    ]


async def test_the_newest_is_the_same_in_every_order(points: Points, kept: Runs, ctx: Context) -> None:
    """Of the highest step the latest, of that the highest value; NaN is the lowest."""
    parts = [(3, 1, 9.0), (3, 2, math.nan), (3, 2, -1.0), (3, 2, 0.5), (1, 9, 7.0)]
    for order in itertools.islice(itertools.permutations(parts), 0, None, 11):
        run = await kept.desk.of(ctx, (await kept.create(ctx, CreateRun())).id)
        for one in order:
            await points.put(run, batch("auc", one))
        assert (await points.latest([run]))[run.id]["auc"] == Point(3, 2, 0.5), order


async def test_a_metric_that_is_no_number_any_more_is_so(points: Points, run: RunRow) -> None:
    await points.put(run, batch("loss", (1, 1, 0.5)))
    await points.put(run, batch("loss", (2, 2, math.nan)))

    assert math.isnan((await points.latest([run]))[run.id]["loss"].value)
    await points.put(run, batch("loss", (3, 3, math.inf)))
    assert (await points.latest([run]))[run.id]["loss"].value == math.inf


@pytest.mark.parametrize("order", ["step", "time"])
async def test_a_history_is_paged_in_its_order(points: Points, run: RunRow, order: str) -> None:
    """Pages of any size give every point once, NaN, infinities and points of one moment among them."""
    rng = random.Random(7)
    values = [math.nan, math.inf, -math.inf, 0.0, -1.5, 2.5]
    made = {(rng.randrange(-5, 5), rng.randrange(4), rng.randrange(6)) for _ in range(150)}
    await points.put(run, batch("m", *((step, at, values[place]) for step, at, place in made)))
    key = (lambda p: (p[0], p[1], rank_of(p[2]))) if order == "step" else (lambda p: (p[1], p[0], rank_of(p[2])))
    expected = sorted(((step, at, values[place]) for step, at, place in made), key=key)

    for size in (1, 7, 1000):
        found: list[Point] = []
        place: Place | None = None
        while page := await points.history(run, "m", order=order, after=place, limit=size):  # pyright: ignore[reportArgumentType]
            found += page
            place = place_of(page[-1])
            if size == 1 and len(found) > 20:
                break
        assert shown(found) == shown([Point(*one) for one in expected[: len(found)]])
        assert size == 1 or len(found) == len(expected)


@pytest.mark.parametrize("order", ["step", "time"])
async def test_a_curve_keeps_its_ends_and_the_extremes_of_every_stretch(
    points: Points, kept: Runs, ctx: Context, order: str
) -> None:
    rng = random.Random(11)
    lines: dict[str, list[Point]] = {}
    rows: list[RunRow] = []
    for count in (1, 30, 4_000):
        row = await kept.desk.of(ctx, (await kept.create(ctx, CreateRun())).id)
        line = [Point(step, 10 * step + 3, rng.gauss(0, 1)) for step in range(count)]
        line = [p if rng.random() > 0.01 else p._replace(value=rng.choice([math.inf, math.nan])) for p in line]
        await points.put(row, batch("m", *line))
        rows.append(row)
        lines[row.id] = line

    found = await points.curves(rows, "m", order=order, most=400)  # pyright: ignore[reportArgumentType]

    for row in rows[:2]:
        assert shown(found[row.id]) == shown(lines[row.id])
    curve, line = found[rows[2].id], lines[rows[2].id]
    assert len(curve) <= 400
    assert shown(curve[:1]) + shown(curve[-1:]) == shown(line[:1]) + shown(line[-1:])
    assert shown(curve) == sorted(shown(curve), key=lambda p: p[0])
    assert set(shown(curve)) <= set(shown(line))
    places = [p.step if order == "step" else p.at_us for p in line]
    cell = {
        p.step: math.floor((x - places[0]) / (places[-1] - places[0] + 1) * 100)
        for p, x in zip(line, places, strict=True)
    }
    for one in range(100):
        stretch = [p.value for p in line if cell[p.step] == one and math.isfinite(p.value)]
        assert {min(stretch), max(stretch)} <= {p.value for p in curve if cell[p.step] == one}


async def test_a_curve_never_has_more_points_than_asked(points: Points, run: RunRow) -> None:
    await points.put(run, batch("m", *((step, step, float(step % 7)) for step in range(500))))
    for most in (1, 2, 3, 4, 5, 9):
        found = (await points.curves([run], "m", most=most))[run.id]
        assert 1 <= len(found) <= most
        assert found[-1].step == 499


async def test_a_curve_of_some_steps_has_those_only(points: Points, run: RunRow) -> None:
    edge = (1 << 63) - 1
    await points.put(run, batch("m", (-edge, 1, 1.0), (5, 2, 2.0), (6, 3, 3.0), (edge, 4, 4.0)))
    assert [p.step for p in (await points.curves([run], "m", steps=(5, 6), most=10))[run.id]] == [5, 6]
    assert [p.step for p in (await points.curves([run], "m", most=3))[run.id]] == [-edge, 5, edge]


async def test_nothing_of_another_project_or_run_is_read(points: Points, kept: Runs, ctx: Context, run: RunRow) -> None:
    other_ctx = ctx.within("flights")
    other = await kept.desk.of(other_ctx, (await kept.create(other_ctx, CreateRun())).id)
    await points.put(other, batch("m", (1, 1, 1.0)))
    await points.put(run, batch("m", (2, 2, 2.0)))

    assert [p.step for p in await points.history(run, "m", limit=ALL)] == [2]
    assert set(await points.latest([run])) == {run.id}
    assert set(await points.curves([run, other], "m", most=10)) == {run.id}


async def test_many_senders_at_once_lose_nothing(points: Points, run: RunRow) -> None:
    """Those who wait for the disk together are answered together, and none too early."""

    async def send(sender: int) -> None:
        for step in range(20):
            await points.put(run, batch(f"m{sender % 3}", (step, sender, float(sender))))

    await asyncio.gather(*(send(sender) for sender in range(12)))

    assert [len(await points.history(run, f"m{one}", limit=ALL)) for one in range(3)] == [80, 80, 80]


async def test_a_journal_without_room_refuses_and_keeps_nothing_of_it(
    axis: Services, kept: Runs, run: RunRow, tmp_path: Path
) -> None:
    points = Points(axis.get(Columns), kept._catalog)
    keeping = points.kept_in(tmp_path / "small", most_bytes=100_000)
    keeping.open()
    taken = 0

    async def fill() -> None:
        nonlocal taken
        for step in range(1_000):
            await points.put(run, batch("m", *((step, at, 1.0) for at in range(100))))
            taken += 1

    with pytest.raises(Busy):
        await fill()
    await keeping.carry_rest()
    keeping.close()

    assert taken > 10
    assert len(await points.history(run, "m", limit=ALL)) == taken * 100


async def test_points_of_an_old_installation_are_taken_over_once(points: Points, run: RunRow, axis: Services) -> None:
    columns = axis.get(Columns)
    gone = "01900000-0000-7000-8000-000000000000"
    rows = [(run.id, "auc", 1, 0.5), (run.id, "auc", 2, 0.75), (run.id, "loss", 1, "nan"), (gone, "auc", 1, 1.0)]
    values = ", ".join(
        f"('{run.project}', '{of}', '{name}', {step}, {step}, {value})" for of, name, step, value in rows
    )
    await columns.command(f"INSERT INTO run_metrics (project, run_id, name, step, at_us, value) VALUES {values}")

    await points.take_over()
    await points.take_over()

    newest = (await points.latest([run]))[run.id]
    assert newest["auc"] == Point(2, 2, 0.75)
    assert math.isnan(newest["loss"].value)
    assert [p.value for p in await points.history(run, "auc", limit=ALL)] == [0.5, 0.75]
    assert await columns.query("SELECT count() AS n FROM run_metrics") == [{"n": 0}]


async def test_points_that_lay_by_run_are_taken_over_once(points: Points, run: RunRow, axis: Services) -> None:
    """Their newest ones are in the catalog already."""
    columns = axis.get(Columns)
    values = ", ".join(f"('{run.project}', '{run.id}', 'auc', {step}, {step}, {step / 4})" for step in range(3))
    await columns.command(f"INSERT INTO run_points (project, run_id, name, step, at_us, value) VALUES {values}")

    await points.take_over()
    await points.take_over()

    assert [p.value for p in await points.history(run, "auc", limit=ALL)] == [0.0, 0.25, 0.5]
    assert await columns.query("SELECT count() AS n FROM run_points") == [{"n": 0}]
