"""Import of W&B's runs: files as its client writes them offline, and exports of its public API."""

import json
import struct
import uuid
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.faces.cli.conftest import Cli
from tests.faces.importing.conftest import Bring

import gimbal

BLOCK = 32_768


def varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def item(key: str, value: Any) -> bytes:
    nested = b"".join(field(2, part) for part in key.split(".")) if "." in key else field(1, key)
    return nested + field(16, json.dumps(value))


def write(path: Path, records: list[bytes]) -> None:
    """Write a log as W&B's client does: fragments with checksums in blocks of 32 KiB."""
    raw = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
    for record in records:
        at = 0
        while not at or at < len(record):
            left = BLOCK - len(raw) % BLOCK
            if left < 7:
                raw += b"\0" * left
                left = BLOCK
            part = record[at : at + left - 7]
            last = at + len(part) == len(record)
            kind = 3 + last if at else 2 - last
            raw += struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            at += len(part)
    path.write_bytes(raw)


def history(step: int, **values: Any) -> bytes:
    row = b"".join(field(1, item(key.replace("__", "."), value)) for key, value in values.items())
    return field(2, row + field(2, field(1, step)))


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """Give a folder with one run that W&B's client kept offline."""
    folder = tmp_path / "wandb" / f"offline-run-20260101_000000-{tmp_path.name[-8:]}"
    (folder / "files" / "media").mkdir(parents=True)
    (folder / "files" / "media" / "x.png").write_bytes(b"png")
    config = b"".join(
        field(1, item(key, value)) for key, value in {"lr": 0.1, "net": {"depth": 3}, "_wandb": {}}.items()
    )
    run = b"".join(
        field(number, text)
        for number, text in (
            (1, tmp_path.name[-8:]),
            (2, "ann"),
            (3, tmp_path.name),
            (6, "sweep"),
            (8, "first"),
            (9, "A note"),
        )
    )
    run += field(4, config) + field(10, "baseline") + field(17, field(1, 1_767_225_600) + field(2, 500_000_000))
    rows = [
        history(step, loss=1 / (step + 1), bad=float("nan"), text=f"w{step}" * 40, _timestamp=1_767_225_601.5 + step)
        for step in range(2000)
    ]
    rows.append(history(2000, img___type="image-file", img__path="media/x.png", img__size=3))
    stats = field(7, field(2, field(1, 1_767_225_700)) + field(3, item("cpu", 12.5)))
    summary = field(3, field(1, item("best", 0.25)))
    write(
        folder / f"run-{tmp_path.name[-8:]}.wandb",
        [field(17, run), *rows, stats, summary, field(13, field(3, "printed\n")), field(18, field(1, 0) + field(2, 9))],
    )
    return tmp_path / "wandb"


def test_a_run_that_was_kept_offline(offline: Path, client: gimbal.Client, bring: Bring) -> None:
    """Name, project, config, history, summary, the machine's metrics, output and files; what is no number is a file."""
    code, told = bring("wandb", offline)

    assert (code, told["problems"], told["counts"]["points"]) == (0, [], 4002)
    (run,) = client.runs.list(experiment=offline.parent.name).items
    assert (run.name, run.group, run.note, run.status) == ("first", "sweep", "A note", "finished")
    assert run.params == {"lr": 0.1, "net.depth": 3}
    assert (run.tags["baseline"], run.tags["wandb.entity"]) == ("true", "ann")
    assert run.metrics == {"loss": 1 / 2000, "bad": "NaN", "best": 0.25, "system/cpu": 12.5}
    assert run.started_at.isoformat() == "2026-01-01T00:00:00.500000+00:00"
    kept = {one.path for one in client.runs.artifacts(run.id)}
    assert kept == {"media/x.png", "output.log", "import/history.jsonl", "import/summary.json"}
    last = b"".join(client.runs.artifact(run.id, "import/history.jsonl")).splitlines()[-1]
    assert json.loads(last)["values"]["img"] == {"_type": "image-file", "path": "media/x.png", "size": 3}
    assert bring("wandb", offline)[1]["counts"]["there"] == 1
    assert bring("wandb", offline, "--verify")[0] == 0


def test_a_file_that_breaks_off(offline: Path, client: gimbal.Client, bring: Bring) -> None:
    """A program that was killed leaves half a record: what stands before comes, and the place is named."""
    log = next(offline.rglob("*.wandb"))
    log.write_bytes(log.read_bytes()[:70_000])
    code, told = bring("wandb", offline)

    (run,) = client.runs.list(experiment=offline.parent.name).items
    assert (code, run.status) == (1, "killed")
    assert told["problems"][0]["where"].startswith(f"{log}:")
    assert "loss" in run.metrics


def test_links_are_taken_only_when_asked(offline: Path, client: gimbal.Client, bring: Bring, tmp_path: Path) -> None:
    """`wandb.save` leaves links; they may lead anywhere, so that they come with `--follow-links` only."""
    (tmp_path / "saved.txt").write_text("saved")
    (next(offline.rglob("files")) / "saved.txt").symlink_to(tmp_path / "saved.txt")
    code, told = bring("wandb", offline)

    assert (code, "symbolic link" in told["problems"][0]["what"]) == (1, True)
    assert bring("wandb", offline, "--follow-links")[0] == 0
    (run,) = client.runs.list(experiment=tmp_path.name).items
    assert b"".join(client.runs.artifact(run.id, "saved.txt")) == b"saved"


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_an_export(form: str, tmp_path: Path, client: gimbal.Client, bring: Bring) -> None:
    """A folder for each run with its history in any of four forms, and metadata, config and summary beside it."""
    folder = tmp_path / "export" / "run-a"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "model.bin").write_bytes(b"\0\1")
    rows = [{"_step": step, "_timestamp": 1_767_225_600.0 + step, "loss": 1.0 / (step + 1)} for step in range(5)]
    path = folder / f"history.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    elif form == "json":
        path.write_text(json.dumps(rows))
    elif form == "csv":
        lines = ["_step,_timestamp,loss", *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    (folder / "config.json").write_text(json.dumps({"lr": 0.1}))
    (folder / "summary.json").write_text(json.dumps({"loss": 0.2, "best": 0.1}))
    told = {"id": uuid.uuid4().hex[:8], "entity": "ann", "project": tmp_path.name, "name": "a", "state": "crashed"}
    more = {"tags": ["x"], "created_at": "2026-01-01T00:00:00", "user": {"username": "ann"}}
    (folder / "metadata.json").write_text(json.dumps(told | more))
    code, report = bring("wandb", tmp_path / "export")

    (run,) = client.runs.list(experiment=tmp_path.name).items
    assert code == (1 if form == "jsonl" else 0), report
    assert [one["where"] for one in report["problems"]] == ([f"{path}:6"] if form == "jsonl" else [])
    assert (run.name, run.status, run.user, run.params) == ("a", "failed", "ann", {"lr": 0.1})
    assert run.metrics == {"loss": 0.2, "best": 0.1}
    assert [one.step for one in client.runs.metric(run.id, "loss").items] == [0, 1, 2, 3, 4]
    assert b"".join(client.runs.artifact(run.id, "model.bin")) == b"\0\1"


@pytest.mark.parametrize(
    ("name", "text", "steps", "problems"),
    [
        ("history.csv", "_step,loss\n0,0.5\n1,0.25,9\n", [0, 1], [":3"]),
        ("history.csv", f"_step,loss,word\n0,0.5,{'x' * 200_000}\n", [0], []),
        ("history.jsonl", '{"_step": 0, "loss": 1}\n{"_step": Infinity, "loss": 1}\n', [0], [": row 2"]),
        ("history.jsonl", '{"_step": 0, "loss": 1, "word": "a\u2028b"}\n{"_step": 1, "loss": 1}\n', [0, 1], []),
        ("history.json", '{"no": "list"}', None, [""]),
    ],
)
def test_an_odd_history(
    name: str, text: str, steps: list[int] | None, problems: list[str], tmp_path: Path, client: gimbal.Client, bring: Bring
) -> None:  # fmt: skip
    """What is odd is named by row or file; where a history cannot be read at all the run is left out, others come."""
    for run in ("odd", "good"):
        (tmp_path / "export" / run).mkdir(parents=True)
        (tmp_path / "export" / run / "metadata.json").write_text(json.dumps({"name": run, "project": tmp_path.name}))
    (tmp_path / "export" / "odd" / name).write_text(text, encoding="utf-8")
    (tmp_path / "export" / "good" / "history.jsonl").write_text('{"_step": 0, "loss": 1}\n')
    _, told = bring("wandb", tmp_path / "export")

    folder = tmp_path / "export" / "odd"
    assert [one["where"].removeprefix(str(folder)).removeprefix(f"/{name}") for one in told["problems"]] == problems
    runs = {one.name: one.id for one in client.runs.list(experiment=tmp_path.name).items}
    assert set(runs) == {"good"} | ({"odd"} if steps is not None else set())
    if steps is not None:
        assert [one.step for one in client.runs.metric(runs["odd"], "loss").items] == steps


def test_rows_without_a_time_count_from_the_beginning(offline: Path, client: gimbal.Client, bring: Bring) -> None:
    """Seconds since the beginning are added to it, not to 1970."""
    log = next(offline.rglob("*.wandb"))
    run = field(1, "r1") + field(3, offline.parent.name) + field(17, field(1, 1_767_225_600))
    write(log, [field(17, run), history(0, loss=1.0, _runtime=10.0), field(18, field(1, 0))])
    assert bring("wandb", offline)[0] == 0
    (one,) = client.runs.list(experiment=offline.parent.name).items
    assert client.runs.metric(one.id, "loss").items[0].at.isoformat() == "2026-01-01T00:00:10+00:00"


def test_a_folder_without_runs(tmp_path: Path, cli: Cli) -> None:
    """It says what was looked for."""
    ran = cli("import", "wandb", str(tmp_path))
    assert (ran.code, "has no run of W&B" in ran.err) == (1, True)
