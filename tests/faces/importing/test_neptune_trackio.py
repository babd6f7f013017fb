"""Import of what Neptune's exporter and Trackio leave."""

import json
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.faces.importing.conftest import Bring

import gimbal

AT = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("run_id", pa.string()),
        ("attribute_path", pa.string()),
        ("attribute_type", pa.string()),
        ("step", pa.decimal128(18, 6)),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("string_value", pa.string()),
        ("bool_value", pa.bool_()),
        ("datetime_value", pa.timestamp("ms", tz="UTC")),
        ("string_set_value", pa.list_(pa.string())),
        ("file_value", pa.struct([("path", pa.string())])),
        ("histogram_value", pa.struct([("type", pa.string()), ("edges", pa.list_(pa.float64()))])),
    ]
)
"""Columns as the README of neptune-exporter lists them."""


def exported(folder: Path, project: str, steps: list[str]) -> None:
    """Write one run as the exporter does, in two parts."""

    def row(path: str, kind: str, **values: Any) -> dict[str, Any]:
        told = {"project_id": project, "run_id": "RUN-1", "attribute_path": path, "attribute_type": kind}
        return dict.fromkeys(SCHEMA.names) | told | values

    first = [
        row("sys/name", "string", string_value="first"),
        row("sys/creation_time", "datetime", datetime_value=AT),
        row("sys/modification_time", "datetime", datetime_value=AT.replace(hour=1)),
        row("sys/owner", "string", string_value="ann"),
        row("sys/tags", "string_set", string_set_value=["a", "b"]),
        row("sys/failed", "bool", bool_value=True),
        row("params/lr", "float", float_value=0.1),
        row("params/depth", "int", int_value=3),
        row("files/report", "file", file_value={"path": "p/report.md"}),
        row("files/out", "file", file_value={"path": "../../secret"}),
    ]
    second = [
        *(row("metrics/loss", "float_series", step=Decimal(s), timestamp=AT, float_value=float(s)) for s in steps),
        row("metrics/loss", "float_series", step=Decimal(9), timestamp=AT, float_value=float("nan")),
        row("logs/out", "string_series", step=Decimal(1), timestamp=AT, string_value="said"),
        row("new/thing", "tensor"),
    ]
    data = folder / "data" / "p"
    data.mkdir(parents=True)
    (folder / "files" / "p").mkdir(parents=True)
    (folder / "files" / "p" / "report.md").write_text("# Report")
    for part, rows in enumerate((first, second)):
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), data / f"RUN-1_part_{part}.parquet")


@pytest.mark.parametrize(
    ("steps", "factor", "known"), [(["1", "2"], None, [1, 2, 9]), (["0.5", "1"], "10", [5, 10, 90])]
)
def test_neptunes_export(
    steps: list[str], factor: str | None, known: list[int], tmp_path: Path, client: gimbal.Client, bring: Bring
) -> None:
    """Attributes become parameters and metrics, `sys/` the run itself; a path that leads out is named and left out."""
    exported(tmp_path, f"ann/{tmp_path.name}", steps)
    code, told = bring("neptune", tmp_path)

    assert (code, [one["where"].rpartition(": ")[2] for one in told["problems"]]) == (1, ["files/out", "tensor"])
    (run,) = client.runs.list(experiment=f"ann/{tmp_path.name}").items
    assert (run.name, run.user, run.status, run.started_at) == ("first", "ann", "failed", AT)
    assert run.params == {"params/lr": 0.1, "params/depth": 3}
    assert (run.tags["a"], run.tags["neptune.run_id"], run.tags.get("neptune.step_multiplier")) == (
        "true",
        "RUN-1",
        factor,
    )
    points = client.runs.metric(run.id, "metrics/loss").items
    assert [one.step for one in points] == known
    assert points[-1].value == "NaN"
    assert b"".join(client.runs.artifact(run.id, "files/report.md")) == b"# Report"
    (line,) = b"".join(client.runs.artifact(run.id, "series/logs/out.jsonl")).splitlines()
    assert json.loads(line)["value"] == "said"
    again = bring("neptune", tmp_path)[1]["counts"]
    assert (again["there"], again["created"]) == (1, 0)


def test_half_a_parquet_file(tmp_path: Path, client: gimbal.Client, bring: Bring) -> None:
    """It is named, and the run has what its other parts say."""
    exported(tmp_path, f"ann/{tmp_path.name}", ["1"])
    part = next(tmp_path.rglob("*_part_1.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    code, told = bring("neptune", tmp_path)

    assert code == 1
    assert str(part) in {one["where"] for one in told["problems"]}
    assert client.runs.list(experiment=f"ann/{tmp_path.name}").items[0].name == "first"


@pytest.mark.parametrize("ids", [True, False])
def test_trackios_file(ids: bool, tmp_path: Path, client: gimbal.Client, bring: Bring) -> None:
    """Runs with ids, and those of older versions that have names only; texts and media are files."""
    folder = tmp_path / "trackio"
    (folder / "media" / tmp_path.name / "first" / "0").mkdir(parents=True)
    (folder / "media" / tmp_path.name / "first" / "0" / "x.png").write_bytes(b"png")
    own = "run_id TEXT, " if ids else ""
    mark, value = ("?, ", (tmp_path.name,)) if ids else ("", ())
    with sqlite3.connect(folder / f"{tmp_path.name}.db") as db:
        db.execute(
            f"CREATE TABLE metrics (id INTEGER PRIMARY KEY, {own}timestamp TEXT, run_name TEXT, step INT, metrics TEXT)"
        )
        db.execute(f"CREATE TABLE configs (id INTEGER PRIMARY KEY, {own}run_name TEXT, config TEXT, created_at TEXT)")
        config = {"lr": 0.1, "_Username": "ann", "_Created": "2026-01-01T00:00:00+00:00", "_Group": "g"}
        db.execute(f"INSERT INTO configs VALUES (1, {mark}'first', ?, '2026')", (*value, json.dumps(config).encode()))
        for step in range(3):
            row = {"loss": 1.0 / (step + 1), "bad": "NaN", "word": "text"}
            at = f"2026-01-01T00:00:0{step}+00:00"
            told = (step + 1, *value, at, "first", step, json.dumps(row).encode())
            db.execute(f"INSERT INTO metrics VALUES (?, {mark}?, ?, ?, ?)", told)
        db.execute(f"INSERT INTO metrics VALUES (9, {mark}'2026-01-01', 'first', 3, 'no json')", value)
    code, told = bring("trackio", folder)

    assert (code, len(told["problems"])) == (1, 1)
    (run,) = client.runs.list(experiment=tmp_path.name).items
    assert (run.name, run.user, run.group, run.params, run.started_at) == ("first", "ann", "g", {"lr": 0.1}, AT)
    assert run.metrics == {"loss": 1 / 3, "bad": "NaN"}
    assert {one.path for one in client.runs.artifacts(run.id)} == {"import/history.jsonl", "media/0/x.png"}
    assert bring("trackio", folder / f"{tmp_path.name}.db")[1]["counts"]["there"] == 1
