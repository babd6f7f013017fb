"""Chart specs: valid Vega-Lite, honest about what is missing, in the colours of both themes."""

from datetime import UTC, datetime

import altair as alt
import pytest

from gimbal.engines.console import charts, vega
from gimbal.engines.console.charts import Bin, Point, Rule
from gimbal.engines.console.tokens import THEMES, tokens
from gimbal.kernel.errors import BadInput

MONTHS = [datetime(2013, month, 1, tzinfo=UTC) for month in range(4, 9)]
SPECS = {
    "line over time with intervals": charts.line(
        [Point(x=at, y=0.7, low=0.69, high=0.71) for at in MONTHS], y_title="AUC", rules=[Rule(y=0.7, label="gate")]
    ),
    "line over steps in series": charts.line(
        [Point(x=float(i), y=1 / (i + 1), series=s) for s in ("train", "valid") for i in range(5)], x_title="step"
    ),
    "line over categories": charts.line([Point(x=name, y=1.0) for name in "abc"]),
    "intervals": charts.intervals(
        [Point(x=n, y=0.4, low=0.3, high=0.5) for n in "abc"], rules=[Rule(y=0.35, label="gate")]
    ),
    "compare": charts.compare([Bin(label=b, share=0.5, series=s) for s in ("ref", "now") for b in "ab"]),
    "bars over time": charts.stacked(
        [
            Point(x="2026-05-01", y=2.0, series="b"),
            Point(x="2026-05-01", y=1.0, series='it\'s "a" \\'),
            Point(x="2026-05-03", y=3.0, series="to come"),
        ],
        order=["b", 'it\'s "a" \\'],
        buckets=["2026-05-01", "2026-05-02", "2026-05-03"],
        ahead="to come",
        rules=[Rule(y=2.5, label="line")],
    ),
    "one distribution": charts.compare([Bin(label=b, share=0.5) for b in "ab"]),
    "calibration": charts.calibration([Point(x=0.2, y=0.25, low=0.2, high=0.3)]),
}


@pytest.mark.parametrize("name", SPECS)
def test_spec_is_valid_vega_lite(name):
    """Altair carries the Vega-Lite schema; `from_dict` checks against it."""
    alt.Chart.from_dict(SPECS[name], validate=True)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", SPECS)
def test_spec_is_drawn_in_the_colours_of_the_theme(name, theme):
    drawn = vega.to_svg(SPECS[name], theme)
    assert drawn.startswith("<svg")
    assert tokens(theme)["series-1"] in drawn
    assert "#4c78a8" not in drawn  # the default colour of Vega-Lite


def test_png_has_the_scale_that_was_asked_for():
    small, large = (vega.to_png(SPECS["intervals"], scale) for scale in (1, 2))
    width = [int.from_bytes(image[16:20]) for image in (small, large)]
    assert small.startswith(b"\x89PNG")
    assert width[1] == pytest.approx(2 * width[0], abs=2)


def test_a_missing_value_is_a_gap_not_a_zero():
    points = [Point(x=at, y=None if i == 2 else 0.7, series="auc") for i, at in enumerate(MONTHS)]
    spec = charts.line(points)
    assert charts.rows_of(spec)[2]["y"] is None
    path = vega.to_svg(spec)
    assert path.count("NaN") == 0


def test_a_chart_without_points_is_refused():
    with pytest.raises(BadInput, match="at least one point"):
        charts.line([])


def test_rules_are_drawn_once_each():
    drawn = vega.to_svg(SPECS["line over time with intervals"])
    assert drawn.count(">gate<") == 1


def test_specs_name_no_colours():
    for theme in THEMES:
        for name in ("series-1", "ink", "ink-quiet"):
            assert tokens(theme)[name] not in str(SPECS)


async def test_library_is_put_together_once_and_read_from_then_on(tmp_path):
    library = vega.Library(tmp_path / "cache")
    first = await library.read()
    made = library.path.stat().st_mtime_ns
    assert b"vegaEmbed" in first
    assert await vega.Library(tmp_path / "cache").read() == first
    assert library.path.stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [library.path.name]


def test_steps_are_whole_and_other_numbers_are_not():
    whole = charts.line([Point(x=float(i), y=1.0) for i in range(3)])
    parts = charts.line([Point(x=i / 2, y=1.0) for i in range(3)])
    assert whole["layer"][-1]["encoding"]["x"]["axis"]["tickMinStep"] == 1
    assert "axis" not in parts["layer"][-1]["encoding"]["x"]


def test_a_stretch_of_time_without_a_value_keeps_its_place():
    """The second of three days has no bar, and is written on the axis all the same."""
    drawn = vega.to_svg(SPECS["bars over time"])

    assert [day for day in ("05-01", "05-02", "05-03") if f">{day}<" in drawn] == ["05-01", "05-02", "05-03"]
    with pytest.raises(BadInput):
        charts.stacked([], order=[], buckets=["2026-05-01"])
