"""What a monitor sees, on simulated worlds whose truth is known: pure arithmetic on arrays, no stores.

Tolerances are computed: a count of false alarms in N independent looks is binomial, and the tests allow what happens
once in 10,000 runs of a sound monitor.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.special import expit

from gimbal.axis.endpoints.predictions import Recorded
from gimbal.axis.gates.evidence import LabelledScores
from gimbal.axis.monitors.looking import Baseline, Reference, look
from gimbal.axis.monitors.model import Monitor, MonitorReport
from gimbal.axis.monitors.windows import floor, following, windows_of
from gimbal.kernel.refs import ResolvedRef

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DATASET = ResolvedRef(kind="dataset", name="a", number=1, digest="b3:" + "0" * 64)
LOOKS = 150
CHANCE = 1e-4


def monitor(level: float = 0.95, least: float = 0.1) -> Monitor:
    return Monitor(
        slug="watch", endpoint="e", reference=DATASET, baseline=DATASET, label="late", features=[], window="month",
        level=level, least_drift=least, created_at=NOW, created_by="me",
    )  # fmt: skip


def scored(rng: np.random.Generator, n: int, *, strength: float = 1.0, bias: float = 0.0) -> LabelledScores:
    """Return a model that believes expit(x) where expit(strength · x + bias) is true."""
    x = rng.normal(0, 1, n)
    return LabelledScores(labels=rng.random(n) < expit(strength * x + bias), probabilities=np.asarray(expit(x)))


def recorded(scores: np.ndarray, numbers: dict[str, np.ndarray], texts: dict[str, list[str | None]]) -> Recorded:
    ids = [str(i) for i in range(scores.size)]
    return Recorded(ids=ids, scores=scores, numbers=numbers, texts=texts, versions=["model:a@v1"])


def labels_of(found: LabelledScores) -> dict[str, float]:
    return {str(i): float(v) for i, v in enumerate(found.labels)}


def months(n: int) -> list[tuple[datetime, datetime]]:
    starts = [datetime(2026, 1 + i, 1, tzinfo=UTC) for i in range(n)]
    return [(start, following(start, "month")) for start in starts]


def report(baseline: LabelledScores, windows: Sequence[LabelledScores], *, level: float = 0.95) -> MonitorReport:
    """Look at windows of scores and labels only."""
    found = [
        (start, end, recorded(w.probabilities, {}, {}), labels_of(w))
        for (start, end), w in zip(months(len(windows)), windows, strict=True)
    ]
    nothing = Reference(numbers={}, texts={})
    return look(monitor(level), Baseline.of(baseline, level), nothing, found, report_id="r", at=NOW)


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_where_nothing_changed_the_alarm_budget_holds(level: float) -> None:
    """Over six windows together, a report alarms no oftener than 1 − level of the time."""
    rng = np.random.default_rng(7)
    alarms = sum(
        bool(report(scored(rng, 500), [scored(rng, 150) for _ in range(6)], level=level).worse) for _ in range(LOOKS)
    )
    assert alarms <= stats.binom.ppf(1 - CHANCE, LOOKS, 1 - level)


@pytest.mark.parametrize(
    ("strength", "bias", "reason"),
    [(0.0, 0.0, "it ranks worse"), (1.0, 1.0, "its probabilities are further off")],
)
def test_a_model_that_got_worse_is_found(strength: float, bias: float, reason: str) -> None:
    """In the window where it did, for the reason that is true; the windows before are not blamed."""
    rng = np.random.default_rng(8)
    missed = blamed = unsaid = 0
    for _ in range(30):
        sound = [scored(rng, 600) for _ in range(3)]
        seen = report(scored(rng, 1_500), [*sound, scored(rng, 600, strength=strength, bias=bias)])
        missed += "2026-04-01" not in seen.worse
        blamed += seen.worse not in (["2026-04-01"], [])
        unsaid += reason not in seen.windows[3].reasons
    assert missed == 0
    assert unsaid == 0
    assert blamed <= stats.binom.ppf(1 - CHANCE, 30, 0.05)


def test_a_model_that_got_better_is_not_an_alarm() -> None:
    """It is told, and is not worse."""
    rng = np.random.default_rng(9)
    seen = report(scored(rng, 2_000, strength=0.5), [scored(rng, 2_000, strength=3.0)])
    assert seen.worse == []
    assert "it ranks better" in seen.windows[0].reasons


def test_the_interval_of_the_change_covers_the_truth() -> None:
    """The AUC's change is 0 when nothing changed: its intervals hold that as often as they say, or oftener."""
    rng = np.random.default_rng(10)
    missed = 0
    for _ in range(LOOKS):
        change = report(scored(rng, 500), [scored(rng, 300)]).windows[0].auc_change
        assert change.low is not None
        assert change.high is not None
        missed += not change.low <= 0 <= change.high
    assert missed <= stats.binom.ppf(1 - CHANCE, LOOKS, 0.05)


class TestDrift:
    """Features against the reference: one budget over all features and windows."""

    def _look(self, reference: pa.Table, tables: Sequence[pa.Table], least: float = 0.1) -> MonitorReport:
        found = []
        for (start, end), table in zip(months(len(tables)), tables, strict=True):
            numbers = {
                n: table[n].cast(pa.float64()).to_numpy() for n in table.column_names if table[n].type != pa.string()
            }
            texts = {n: table[n].to_pylist() for n in table.column_names if table[n].type == pa.string()}
            rows = recorded(np.full(table.num_rows, 0.5), numbers, texts)
            found.append((start, end, rows, {}))
        nothing = LabelledScores(labels=np.zeros(0, bool), probabilities=np.zeros(0))
        held = Reference.of(reference)
        return look(monitor(least=least), Baseline.of(nothing, 0.95), held, found, report_id="r", at=NOW)

    def _world(self, rng: np.random.Generator, n: int, *, shift: float = 0.0, share: float = 0.5) -> pa.Table:
        return pa.table(
            {
                "x": rng.normal(shift, 1, n),
                "n": rng.poisson(3, n),
                "flag": rng.random(n) < 0.5,
                "name": np.where(rng.random(n) < share, "AA", "B6"),
            }
        )

    def test_where_nothing_changed_nothing_drifts(self) -> None:
        """Four features, three windows, small and large samples."""
        rng = np.random.default_rng(11)
        alarms = 0
        for n in (30, 1_000):
            for _ in range(30):
                seen = self._look(self._world(rng, 1_000), [self._world(rng, n) for _ in range(3)])
                alarms += bool(seen.drifted)
        assert alarms <= stats.binom.ppf(1 - CHANCE, 60, 0.05)

    def test_a_shift_that_matters_is_found_and_only_that(self) -> None:
        """Half a standard deviation, and a share that goes from a half to nine tenths."""
        rng = np.random.default_rng(12)
        reference = self._world(rng, 3_000)
        seen = self._look(reference, [self._world(rng, 1_500), self._world(rng, 1_500, shift=0.7, share=0.9)])
        verdicts = [{d.feature: d.verdict for d in w.drift} for w in seen.windows]
        assert {"drifted"} & set(verdicts[0].values()) == set()
        assert {name for name, v in verdicts[1].items() if v == "drifted"} == {"x", "name"}
        assert seen.drifted == ["name", "x"]
        assert seen.text.endswith("Drifted: name, x.")
        distances = [d.distance.value for d in seen.windows[1].drift]
        assert distances == sorted(distances, key=lambda v: -(v or 0))

    def test_a_difference_that_does_not_matter_is_stable_however_many_rows(self) -> None:
        """Significant is not important: a hundredth of a standard deviation in 200,000 rows."""
        rng = np.random.default_rng(13)
        reference = pa.table({"x": rng.normal(0, 1, 200_000)})
        seen = self._look(reference, [pa.table({"x": rng.normal(0.03, 1, 200_000)})])
        (found,) = seen.windows[0].drift
        assert found.verdict == "stable"
        assert found.p_value is not None
        assert found.p_value < 0.001

    def test_a_unit_slip_in_a_few_rows_hides_nothing(self) -> None:
        """One value at 200 σ moves no bin: the shift beside it is found all the same."""
        rng = np.random.default_rng(14)
        moved = np.append(rng.normal(0.7, 1, 1_000), 200.0)
        seen = self._look(pa.table({"x": rng.normal(0, 1, 2_000)}), [pa.table({"x": moved})])
        assert seen.drifted == ["x"]

    def test_values_that_go_missing_are_drift(self) -> None:
        """Missing is a value of its own, for numbers and for text; its share is told."""
        rng = np.random.default_rng(15)
        full = pa.table({"x": rng.normal(0, 1, 1_000), "t": ["a"] * 1_000})
        gone = rng.random(1_000) < 0.4
        half = pa.table({
            "x": np.where(gone, np.nan, rng.normal(0, 1, 1_000)),
            "t": pa.array([None if g else "a" for g in gone]),
        })  # fmt: skip
        seen = self._look(full, [half])
        assert seen.drifted == ["t", "x"]
        shares = {d.feature: d.missing_share for d in seen.windows[0].drift}
        assert shares["x"] == pytest.approx(gone.mean())

    def test_too_few_rows_are_undecided(self) -> None:
        """Five rows show neither drift nor its absence."""
        rng = np.random.default_rng(16)
        seen = self._look(self._world(rng, 1_000), [self._world(rng, 5)])
        assert {d.verdict for d in seen.windows[0].drift} == {"undecided"}

    def test_a_feature_that_only_one_side_has_is_left_out(self) -> None:
        """Nothing is claimed about what cannot be compared."""
        rng = np.random.default_rng(17)
        seen = self._look(pa.table({"x": rng.normal(0, 1, 50), "y": rng.normal(0, 1, 50)}), [pa.table({"x": [1.0]})])
        assert [d.feature for d in seen.windows[0].drift] == ["x"]

    def test_what_can_be_compared_at_all(self) -> None:
        """Numbers, truth values and text are watched; times, lists and money are not."""
        held = Reference.of(
            pa.table({
                "f": [1.5], "i": [2**60 + 1], "b": [True], "t": ["a"], "at": pa.array([NOW]), "v": [[1.0]],
                "u": pa.array([3], pa.uint8()), "big": pa.array(["x"], pa.large_string()),
            })
        )  # fmt: skip
        assert held.names == ["b", "big", "f", "i", "t", "u"]
        assert held.texts["t"] == Counter({"a": 1})


class TestWindows:
    """The calendar in UTC."""

    def test_months_and_years_end(self) -> None:
        """December is followed by January, a leap February by March."""
        at = datetime(2027, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
        assert floor(at, "month") == datetime(2027, 12, 1, tzinfo=UTC)
        assert following(floor(at, "month"), "month") == datetime(2028, 1, 1, tzinfo=UTC)
        assert following(datetime(2028, 2, 1, tzinfo=UTC), "month") == datetime(2028, 3, 1, tzinfo=UTC)

    def test_weeks_begin_on_monday(self) -> None:
        """Sunday belongs to the week before."""
        assert floor(datetime(2026, 3, 1, 12, tzinfo=UTC), "week") == datetime(2026, 2, 23, tzinfo=UTC)
        assert floor(datetime(2026, 3, 2, tzinfo=UTC), "week") == datetime(2026, 3, 2, tzinfo=UTC)

    def test_days_without_predictions_make_no_window(self) -> None:
        """Only windows that something lies in, oldest first, each once; days before 1970 too."""
        found = windows_of([40, 0, 1, -1], "month")
        assert [(a.date().isoformat(), b.date().isoformat()) for a, b in found] == [
            ("1969-12-01", "1970-01-01"),
            ("1970-01-01", "1970-02-01"),
            ("1970-02-01", "1970-03-01"),
        ]
        assert windows_of([], "day") == []
