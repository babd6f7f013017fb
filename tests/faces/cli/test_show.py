"""How values and tables look: humane, within the width, and never more than what is there."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gimbal.faces.cli import grid, show, values

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
REF = {"kind": "model", "name": "flights/delay", "number": 7, "digest": "b3:00"}
ESTIMATE = {"value": 0.70698, "low": 0.70123, "high": 0.71, "n": 100, "level": 0.95, "method": "t"}


@pytest.mark.parametrize(
    ("value", "name", "shown"),
    [
        (None, "cost", "–"),
        (0, "errors", "0"),
        (True, "capture", "yes"),
        (0.1 + 0.2, "auc", "0.3"),
        (1e-9, "p_value", "1e-09"),
        ("0", "cost", "$0"),
        ("0.00001234", "cost", "$0.00001234"),
        ("12.5", "cost", "$12.50"),
        ("free", "cost", "free"),
        (999, "size", "999 B"),
        (1_234_567, "size", "1.23 MB"),
        (999_600, "size", "1 MB"),
        (5_368_709_120, "max_upload_bytes", "5.37 GB"),
        (3_000_000_000_000, "bytes", "3.0 TB"),
        (80_671, "duration_us", "80.7 ms"),
        (7, "duration_us", "7 µs"),
        (0, "duration_us", "0 s"),
        (1500.0, "latency_p50_ms", "1.5 s"),
        (125, "wait_s", "2 min 5 s"),
        (1_767_225_600_000_000, "start_us", "2026-01-01 00:00:00"),
        ("2026-05-03T14:00:30.5+02:00", "at", "2026-05-03 12:00"),
        ("2026-99-99T99:99:99.0Z", "at", "2026-99-99T99:99:99.0Z"),
        (REF, "subject", "model:flights/delay@v7"),
        (ESTIMATE, "estimate", "0.707 [0.7012, 0.71]"),
        ({**ESTIMATE, "value": None}, "estimate", "–"),
        ({**ESTIMATE, "low": None}, "estimate", "0.707"),
        ({"ref": "model:a@production", "weight": 1.0}, "target", "model:a@production"),
        ({"ref": "model:a@production", "weight": 0.1}, "target", "model:a@production × 0.1"),
        ({"auc": 0.81234567}, "metrics", "auc=0.812346"),
        (["a", None, REF], "inputs", "a, –, model:flights/delay@v7"),
        ("red\x1b[31m\x07 and\nnew", "name", "red�[31m� and new"),
    ],
)
def test_a_value_is_shown_for_people(value: object, name: str, shown: str) -> None:
    """Missing is a dash and never zero; units fit; what others wrote cannot steer the terminal."""
    assert values.cell(value, name) == shown


@pytest.mark.parametrize(
    ("delta", "long", "short"),
    [
        (timedelta(0), "now", "just now"),
        (timedelta(seconds=1), "1 second ago", "just now"),
        (timedelta(seconds=90), "1 minute ago", "1 min ago"),
        (timedelta(hours=5), "5 hours ago", "5 h ago"),
        (timedelta(days=29), "29 days ago", "29 d ago"),
        (timedelta(days=60), "60 days ago", "2026-03-04"),
        (timedelta(days=-2), "in 2 days", "2026-05-05"),
    ],
)
def test_times_are_told_from_now(delta: timedelta, long: str, short: str) -> None:
    """In one unit; a short table cell gives the day for what is far away."""
    then = NOW - delta

    assert values.ago(then, NOW) == long
    assert values.since(then.isoformat(timespec="microseconds"), NOW) == short


CELL = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), max_size=60)


@given(
    st.lists(
        st.tuples(st.text("abc xyz", min_size=1, max_size=20), st.booleans(), st.booleans()), min_size=1, max_size=9
    ),
    st.data(),
    st.integers(40, 160),
)
def test_a_table_keeps_to_its_width(heads: list[tuple[str, bool, bool]], data: st.DataObject, width: int) -> None:
    """Whatever is in it; columns go from the right and are named; what is to be copied is never cut."""
    count = data.draw(st.integers(0, 5))
    columns = [
        grid.Column(head, data.draw(st.lists(CELL, min_size=count, max_size=count)), right, whole)
        for head, right, whole in heads
    ]

    laid = grid.lay(columns, width)

    shown = columns[: len(columns) - len(laid.left_out)]
    assert laid.left_out == [c.heading for c in columns[len(shown) :]]
    assert len(laid.rows) == count
    if len(shown) > 1:
        assert max((cell_len(text) for text in (*laid.heading, *laid.rows)), default=0) <= width
    for column in shown:
        if column.whole:
            assert all(text.rstrip() in row for text, row in zip(column.cells, laid.rows, strict=True))


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=5))
def test_without_a_terminal_nothing_is_cut(rows: list[list[str]]) -> None:
    """Programs that read the output get all of it, on one line each."""
    columns = [grid.Column(f"c{i}", [row[i] for row in rows]) for i in range(3)]

    laid = grid.lay(columns, None)

    assert laid.left_out == []
    assert all(text.rstrip() in line for row, line in zip(rows, laid.rows, strict=True) for text in row)


def test_a_narrow_table_tells_times_from_now_before_it_leaves_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the minute where there is room; the rest is named."""
    then = (datetime.now(UTC) - timedelta(hours=3, minutes=5)).isoformat()
    rows = [{"id": "0" * 36, "name": "train", "started_at": then, "note": "something longer than there is room for"}]
    monkeypatch.setenv("COLUMNS", "120")
    show.table(rows, ("id", "name", "started_at", "note"))
    monkeypatch.setenv("COLUMNS", "60")
    show.table(rows, ("id", "name", "started_at", "note"))

    wide, narrow = capsys.readouterr().out.split("note", 1)
    assert "started (UTC)" in wide
    assert "3 h ago" in narrow
    assert "no room for: note (a wider terminal, or --json)" in narrow


def test_a_record_shows_what_is_inside_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested fields are indented, lists of records are tables, long texts wrap, and nothing is told twice."""
    monkeypatch.setenv("COLUMNS", "60")
    inner = {"learning_rate": 0.05, "deep": {"a": 1}}
    show.record(
        {
            "id": "x",
            "created_at": "2026-05-03T12:00:00.000000Z",
            "model": REF,
            "params": inner,
            "version": {"params_again": inner},
            "rows": [{"scorer": "f1", "estimate": ESTIMATE}],
            "text": "many words " * 10,
            "empty": {},
            "nothing": None,
        }
    )

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "id          x"
    assert lines[1].startswith("created at  2026-05-03 12:00:00 UTC, ")
    assert lines[2] == "model       model:flights/delay@v7"
    assert lines[3:8] == ["version", "  params_again", "    learning_rate  0.05", "    deep", "      a  1"]
    assert lines[8:11] == ["rows (1)", "  scorer  estimate", "  f1      0.707 [0.7012, 0.71]"]
    assert lines[11].startswith("text        many words many")
    assert all(len(line) <= 60 for line in lines)
    assert not any("empty" in line or "nothing" in line or line == "params" for line in lines)
