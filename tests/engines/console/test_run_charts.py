"""Charts of runs: valid Vega-Lite that draws, with extremes kept, honest about gaps, and right in what it works out."""

import json
import math
import random

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.engines.console import importance, parallel, run_charts, vega
from gimbal.engines.console.charts import Spec
from gimbal.engines.console.parallel import Line
from gimbal.engines.console.run_charts import Curve, Dot
from gimbal.kernel.errors import BadInput

NUMBERS = st.floats(-1e6, 1e6)
HOSTILE = 'it\'s "a" \\ <b>'
CURVES = [
    Curve(name="a", xs=[0, 1, 2], ys=[1.0, None, 0.5], raw=[1.0, None, 0.4]),
    Curve(name=HOSTILE, xs=[0, 1], ys=[2.0, 1.5], low=[-1.0, 1.0], high=[3.0, 2.0]),
]
DOTS = [Dot(name=f"run {n}", x=float(n % 3 + 1), y=float(n * n + 1), colour=float(n)) for n in range(6)]
LINES = [
    Line(name="a", values={"params.lr": 0.1, "params.model": "mlp", "metrics.auc": 0.7}),
    Line(name=HOSTILE, values={"params.lr": 0.0001, "params.model": HOSTILE, "metrics.auc": 0.8}),
    Line(name="c", values={"params.lr": None, "params.model": "mlp", "metrics.auc": math.nan}),
]
SPECS: dict[str, Spec] = {
    "lines": run_charts.lines(CURVES, y_title="loss"),
    "lines with a logarithmic axis": run_charts.lines(CURVES, log="xy"),
    "lines over time": run_charts.lines(CURVES, across="time", named=False),
    "many lines": run_charts.lines([Curve(name=str(n), xs=[0, 1], ys=[n, n + 1]) for n in range(40)]),
    "scatter": run_charts.scatter(DOTS, x_title="x", y_title="y", colour_title="auc", log="y"),
    "scatter over names": run_charts.scatter([Dot(name="a", x=HOSTILE, y=1.0)], x_title="x", y_title="y"),
    "contour": run_charts.contour(DOTS, x_title="x", y_title="y", value_title="auc"),
    "parallel": parallel.parallel(LINES, ["params.lr", "params.model", "metrics.auc"]),
    "importance": importance.importance([importance.Share(name=HOSTILE, share=0.4, runs=12)], title="auc"),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_valid_and_can_be_drawn(name: str) -> None:
    """As JSON it says the same, the schema takes it, and the engine draws it."""
    spec = json.loads(json.dumps(SPECS[name], allow_nan=False))

    alt.Chart.from_dict(spec, validate=True)
    assert vega.to_svg(spec).startswith("<svg")


def test_a_logarithmic_axis_shows_what_it_can() -> None:
    """Zero and less leave a gap; where nothing is left the refusal says so."""
    spec = run_charts.lines([Curve(name="a", xs=[0, 1, 2], ys=[-1.0, 10.0, 0.0])], log="y")

    assert [row["y"] for row in spec["data"]["values"]] == [None, 10.0, None]
    with pytest.raises(BadInput, match="nothing to draw"):
        run_charts.lines([Curve(name="a", xs=[0], ys=[-1.0])], log="y")


def test_smoothing_has_no_pull_towards_its_start() -> None:
    """A constant stays what it is; the first value is the first mean; a gap stays a gap."""
    assert run_charts.smoothed([0, 1, 2], [5.0, 5.0, 5.0], 0.9) == pytest.approx([5.0] * 3)
    assert run_charts.smoothed([0, 1, 2], [1.0, None, 3.0], 0.5)[1] is None
    assert run_charts.smoothed([0, 1], [1.0, 3.0], 0.0) == [1.0, 3.0]
    first, second = run_charts.smoothed([0, 1], [1.0, 3.0], 0.5)
    assert first == 1.0
    assert second == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)


@given(st.lists(NUMBERS, min_size=2, max_size=30), st.floats(0.01, 0.99))
def test_smoothed_values_stay_between_the_extremes(values: list[float], weight: float) -> None:
    found = run_charts.smoothed(list(range(len(values))), values, weight)

    wide = 1e-9 * max(1.0, *map(abs, values))
    assert all(min(values) - wide <= value <= max(values) + wide for value in found if value is not None)


def test_points_that_crowd_count_for_less() -> None:
    """Ten points in one place weigh about as much as one there, not as ten."""
    xs = [*map(float, range(40)), *(39.5 + n / 1000 for n in range(10)), 40.0]
    ys = [*[0.0] * 40, *[1.0] * 10, 0.0]
    crowded = run_charts.smoothed(xs, ys, 0.8)[-2]
    alone = run_charts.smoothed([*xs[:40], 39.5, 40.0], [*ys[:40], 1.0, 0.0], 0.8)[-2]

    assert crowded == pytest.approx(alone, abs=0.05)


def test_a_surface_needs_what_it_is_made_of() -> None:
    """Three runs, or four in a row, make none."""
    with pytest.raises(BadInput, match="four runs"):
        run_charts.contour(DOTS[:3], x_title="x", y_title="y", value_title="v")
    row = [Dot(name=str(n), x=1.0, y=float(n), colour=1.0) for n in range(6)]
    with pytest.raises(BadInput, match="four runs"):
        run_charts.contour(row, x_title="x", y_title="y", value_title="v")


def test_a_surface_is_near_the_runs_that_it_comes_from() -> None:
    """Beside each run it has about that run's value, and nowhere more than the largest."""
    dots = [
        Dot(name=str(n), x=x, y=y, colour=v) for n, (x, y, v) in enumerate([(0, 0, 0), (0, 9, 3), (9, 0, 6), (9, 9, 9)])
    ]
    spec = run_charts.contour(dots, x_title="x", y_title="y", value_title="v")
    cells = spec["layer"][0]["data"]["values"]

    assert all(0 <= cell["value"] <= 9 for cell in cells)
    assert cells[0]["value"] < 0.5
    assert cells[-1]["value"] > 8.5
    assert len(spec["data"]["values"]) == 4


def test_a_surface_over_rates_is_even_in_their_logarithms() -> None:
    """Its cells are equally wide on the logarithmic axis, a rate halfway weighs the same both ways; zero has no place."""
    rates = [1e-5, 1e-3, 1e-1]
    corners = [(rate, y, math.log10(rate)) for rate in rates for y in (0, 4)]
    dots = [Dot(name=str(n), x=x, y=y, colour=v) for n, (x, y, v) in enumerate([*corners, (0, 2, 99)])]
    spec = run_charts.contour(dots, x_title="rate", y_title="y", value_title="v", log="x")
    row = [cell for cell in spec["layer"][0]["data"]["values"] if cell["y"] == 0]

    assert spec["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    assert spec["layer"][0]["encoding"]["y"]["scale"].get("type") is None
    assert {round(math.log10(cell["x2"] / cell["x"]), 9) for cell in row} == {round(4 / 28, 9)}
    middle = [cell["value"] for cell in row if 1e-3 in (pytest.approx(cell["x"]), pytest.approx(cell["x2"]))]
    assert sum(middle) / 2 == pytest.approx(-3)
    assert len(spec["data"]["values"]) == 6
    with pytest.raises(BadInput, match="four runs"):
        run_charts.contour(
            [Dot(name="a", x=-1, y=n, colour=1.0) for n in range(5)], x_title="x", y_title="y", value_title="v", log="x"
        )


def test_axes_of_whole_numbers_are_marked_by_whole_numbers() -> None:
    """Half a layer is none; numbers with a fraction keep theirs."""
    rows = [Line(name=str(n), values={"params.depth": 2 + n, "params.rate": 0.5 * n}) for n in range(6)]
    words = parallel.parallel(rows, ["params.depth", "params.rate"])["layer"][-2]["data"]["values"]

    assert [one["text"] for one in words if one["axis"] == 0] == ["2", "3", "4", "6", "7"]
    assert [one["text"] for one in words if one["axis"] == 1] == ["0", "0.625", "1.25", "1.88", "2.5"]
    assert all(0 <= one["level"] <= 1 for one in words)


def test_axes_of_parallel_coordinates_lie_evenly() -> None:
    """Numbers over many sizes stand on a logarithmic axis, texts by name, and what is missing is missing."""
    rows = SPECS["parallel"]["data"]["values"]
    level = {(row["series"], row["axis"]): row["level"] for row in rows}

    assert level["a", 0] == 1
    assert level[HOSTILE, 0] == 0
    assert level["c", 0] is None
    assert level["c", 2] is None
    assert sorted({level[name, 1] for name in ("a", HOSTILE)}) == [0, 1]


@pytest.mark.parametrize("axes", [["params.lr"], [f"params.p{n}" for n in range(13)], []])
def test_parallel_coordinates_have_two_axes_to_twelve(axes: list[str]) -> None:
    with pytest.raises(BadInput, match="2 to 12 axes"):
        parallel.parallel(LINES, axes)


def test_a_parameter_that_decides_explains_the_most() -> None:
    """What drives the metric stands first with nearly all of it; chance alone explains next to nothing."""
    rnd = random.Random(5)
    params = [{"lr": rnd.choice([0.1, 0.01]), "seed": n, "note": "same", "noise": rnd.random()} for n in range(300)]
    values = [(1.0 if row["lr"] == 0.1 else 0.2) + rnd.gauss(0, 0.05) for row in params]
    found = {one.name: one.share for one in importance.shares(params, values)}

    assert next(iter(found)) == "lr"
    assert found["lr"] > 0.9
    assert found["noise"] < 0.15
    assert "note" not in found


def test_few_runs_say_nothing_of_importance() -> None:
    assert importance.shares([{"lr": n} for n in range(9)], [float(n) for n in range(9)]) == []
    with pytest.raises(BadInput, match="10 runs"):
        importance.importance([], title="auc")
