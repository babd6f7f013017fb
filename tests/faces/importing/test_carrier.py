"""What carries runs to the server, given runs as no source would give them: too many bytes, one that is refused, no room here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gimbal
from gimbal.axis.runs.imports.model import ImportedDataset, ImportedExperiment
from gimbal.faces.importing.carrier import Carrier
from gimbal.faces.importing.reading import reading, shown
from gimbal.faces.importing.records import NoModels, Problem, SourceFile, SourceRun
from gimbal.faces.importing.report import Report
from gimbal.kernel.errors import DiskFull
from gimbal.kernel.ids import new_id


class Given(NoModels):
    """Runs that a test made."""

    def __init__(self, *runs: SourceRun) -> None:
        self._runs = runs

    def experiments(self) -> list[ImportedExperiment]:
        return []

    def count(self) -> int | None:
        return len(self._runs)

    def runs(self) -> Iterator[SourceRun | Problem]:
        return iter(self._runs)


def given(experiment: str, **changed: Any) -> SourceRun:
    own_id = new_id()
    usual: dict[str, Any] = {
        "id": own_id, "origin": f"test:{own_id}", "where": f"run {own_id}", "name": "one", "experiment": experiment,
        "status": "finished", "started_us": 1, "ended_us": 2,
    }  # fmt: skip
    return SourceRun(**usual | changed)


def test_batches_have_not_too_many_bytes(client: gimbal.Client, tmp_path: Path) -> None:
    """A few runs with long parameters are more than one request, however few they are."""
    params = {f"p{at}": "x" * 60_000 for at in range(5)}
    moved: list[int] = []
    report = Report()
    source = Given(*(given(tmp_path.name, params=params) for _ in range(40)))
    Carrier(client, source, report).bring(moved.append)

    assert (sum(moved), len(moved)) == (40, 2)
    assert (report.counts.created, report.problems) == (40, [])


def test_one_that_the_server_refuses_leaves_the_others(client: gimbal.Client, tmp_path: Path) -> None:
    """A request that is bad because of one run is sent again in parts: that run is named, the others come."""
    odd = ImportedDataset(name="d", digest="1", tags={"a": None})  # type: ignore[dict-item] - that is what is odd
    runs = [given(tmp_path.name), given(tmp_path.name, datasets=[odd]), given(tmp_path.name)]
    report = Report()
    Carrier(client, Given(*runs), report).bring(lambda _: None)

    assert (report.counts.created, report.counts.refused) == (2, 1)
    assert [one.where for one in report.problems] == [runs[1].where]


def test_a_full_disk_here_ends_it(client: gimbal.Client, tmp_path: Path) -> None:
    """No room for a file that is fetched is no fault of the file: the import ends, and goes on when there is room."""

    def full(_: Path) -> None:
        Path("/dev/full").write_bytes(b"file")

    def fits(path: Path) -> None:
        path.write_bytes(b"file")

    run = given(tmp_path.name, files=[SourceFile("a.txt", full, 4)])
    with pytest.raises(DiskFull, match=r"a\.txt"):
        Carrier(client, Given(run), Report()).bring(lambda _: None)
    report = Report()
    run.files = [SourceFile("a.txt", fits, 4)]
    Carrier(client, Given(run), report).bring(lambda _: None)

    assert (report.counts.added, report.counts.files, report.problems) == (1, 1, [])


def test_a_dry_run_and_a_comparison_count_what_is_so(client: gimbal.Client, tmp_path: Path) -> None:
    """New, changed and refused runs are each counted as what they are; one that is not here is not counted as here."""
    new, changed, others = (given(tmp_path.name) for _ in range(3))
    Carrier(client, Given(changed, others), Report()).bring(lambda _: None)
    changed.tags = others.tags = {"more": "1"}
    others.origin = "test:other"
    looked, compared = Report(), Report()
    Carrier(client, Given(new, changed, others), looked).look(lambda _: None)
    Carrier(client, Given(new, changed), compared).compare(lambda _: None)

    counts = looked.counts
    assert (counts.created, counts.added, counts.refused, counts.there) == (1, 1, 1, 0)
    assert (compared.counts.there, len(compared.differences)) == (1, 2)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://ann:se@c/ret@host:5000/x", "http://ann:***@host:5000/x"),
        ("postgresql://h/db?user=ann&password=secret&sslmode=require", "postgresql://h/db?user=ann&password=***&sslmode=require"),
        ("http://host:5000", "http://host:5000"),
        ("mlruns/7", "mlruns/7"),
    ],
)  # fmt: skip
def test_addresses_without_passwords(address: str, told: str) -> None:
    """A password is hidden wherever an address may have it; all else is shown."""
    assert shown(address) == told


def test_reading_tells_what_is_odd() -> None:
    """What goes wrong with one thing is a problem of it, with its place and reason."""
    assert reading("there", lambda: 1) == 1
    assert reading("there", lambda: int("x")) == Problem(
        "there", "It cannot be read (ValueError: invalid literal for int() with base 10: 'x'), and is left out."
    )
