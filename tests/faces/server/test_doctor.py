"""The doctor looks at everything, goes on when something is wrong, and each finding that is says how to mend it."""

import importlib.metadata
import re
import socket
import sqlite3

import msgspec
import pytest

from gimbal.faces.server import doctor, preflight
from gimbal.kernel.settings import BlobsSettings, CatalogSettings, ColumnsSettings, ServerSettings, Settings
from gimbal.kernel.settings_gateway import GatewaySettings


def examine(settings: Settings) -> dict[str, doctor.Finding]:
    return {finding.part: finding for finding in doctor.examine(settings)}


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data=str(tmp_path / "data"), server=ServerSettings(port=free(), grpc_port=free()))


def test_a_healthy_machine_has_nothing_to_mend(settings):
    found = examine(settings)

    assert {finding.state for finding in found.values()} == {"ok"}
    assert {
        "python",
        "chdb",
        "sqlite",
        "data folder",
        "disk",
        "port",
        "grpc port",
        "clock",
        "catalog",
        "columns",
        "blobs",
    } <= set(found)
    assert found["chdb"].message == importlib.metadata.version("chdb")
    assert found["port"].message == f"127.0.0.1:{settings.server.port} is free"
    assert found["clock"].message.endswith("UTC")


def test_a_data_folder_that_cannot_be_is_a_finding_and_the_rest_is_looked_at(settings, tmp_path):
    (tmp_path / "data").write_text("in the way")
    found = examine(settings)

    assert found["data folder"].state == "fail"
    assert "--data" in found["data folder"].todo
    assert found["blobs"].state == "ok"


def test_a_data_folder_under_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    found = examine(Settings(data=str(tmp_path / "file" / "data"), server=ServerSettings(port=free(), grpc_port=0)))

    assert found["data folder"].state == "fail"
    assert "--data" in found["data folder"].todo
    assert found["disk"].state == "ok"
    assert found["port"].state == "ok"


def test_a_disk_that_is_too_full_is_found(settings, monkeypatch):
    monkeypatch.setattr(preflight, "LEAST_FREE", 2**70)
    found = examine(settings)

    assert found["disk"].state == "fail"
    assert "Make room" in found["disk"].todo


@pytest.mark.parametrize("part", ["port", "grpc port"])
def test_a_port_in_use_is_found_with_its_flag(settings, part):
    port = settings.server.port if part == "port" else settings.server.grpc_port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        found = examine(settings)

    assert found[part].state == "fail"
    assert "--port" in found[part].todo if part == "port" else "--grpc-port" in found[part].todo


def test_a_gimbal_that_is_up_is_no_port_in_use(served, tmp_path):
    port = int(served.url.rpartition(":")[2])
    found = examine(Settings(data=str(tmp_path), server=ServerSettings(port=port)))

    assert found["server"].message == f"Gimbal is up on 127.0.0.1:{port}"
    assert "port" not in found


def test_an_engine_that_is_missing_says_how_to_install_it(settings, monkeypatch):
    monkeypatch.setattr(doctor, "_ENGINES", ("chdb", "no-such-engine"))
    found = examine(settings)

    assert found["chdb"].state == "ok"
    assert found["no-such-engine"].state == "fail"
    assert "pip install 'gimbal-ops[server]'" in found["no-such-engine"].todo


@pytest.mark.parametrize(("there", "state"), [(True, "ok"), (False, "warn")])
def test_a_wish_that_the_kernel_does_not_take_is_told(settings, monkeypatch, tmp_path, there, state):
    device = tmp_path / "cpu_dma_latency"
    if there:
        device.touch()
    monkeypatch.setattr(doctor, "DEVICE", device)

    assert "wake-up" not in examine(settings)
    found = examine(msgspec.structs.replace(settings, gateway=GatewaySettings(wake_us=0)))["wake-up"]
    assert found.state == state
    assert str(device) in found.message


def test_a_look_changes_nothing(settings):
    """Neither the folder nor a database is made by asking for it."""
    found = examine(settings)

    assert not settings.folder.exists()
    assert found["data folder"].message == f"{settings.folder} can be made"
    assert "made at the first start" in found["catalog"].message
    assert found["columns"].message.startswith("chDB runs, ClickHouse 2")


def test_a_sound_and_a_damaged_catalog_are_told_apart(settings):
    settings.folder.mkdir()
    file = settings.folder / "catalog.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE t (x TEXT)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
    database.close()
    assert examine(settings)["catalog"].message.endswith("MB, sound")

    raw = bytearray(file.read_bytes())
    raw[4096:12288] = b"\xff" * 8192
    file.write_bytes(raw)
    found = examine(settings)["catalog"]
    assert found.state == "fail"
    assert found.todo


def test_stores_elsewhere_are_asked(settings, postgres):
    """One that answers says its version; the look leaves nothing behind in it."""
    there = Settings(
        data=settings.data,
        server=settings.server,
        catalog=CatalogSettings(url=postgres.render_as_string(hide_password=False)),
    )
    assert re.fullmatch(r"PostgreSQL \d+\.\d+.* answers", examine(there)["catalog"].message)


def test_an_engine_that_ends_its_process_is_told(settings, monkeypatch, tmp_path):
    (tmp_path / "chdb.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = examine(settings)["columns"]

    assert found.state == "fail"
    assert "chDB does not run here" in found.message
    assert "Install" in found.todo


def test_stores_that_do_not_answer_are_found_without_their_passwords(settings, monkeypatch):
    """Each by itself, with where to look."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr(doctor, "_PATIENCE_S", 2.0)
    found = examine(
        Settings(
            data=settings.data,
            server=settings.server,
            catalog=CatalogSettings(url="postgresql://me:hidden@127.0.0.1:9/x"),
            columns=ColumnsSettings(url="http://me:hidden@127.0.0.1:9/x"),
            blobs=BlobsSettings(url="s3://bucket/x", endpoint="http://127.0.0.1:9"),
        )
    )

    failed = [found[part] for part in ("catalog", "columns", "blobs")]
    assert [finding.state for finding in failed] == ["fail"] * 3
    assert "postgresql://me:***@127.0.0.1:9/x" in failed[0].todo
    assert not any("hidden" in finding.message + finding.todo for finding in failed)
    assert not any("\n" in finding.message for finding in failed)


def test_every_failure_has_a_way_to_mend_it(settings, tmp_path, monkeypatch):
    (tmp_path / "data").write_text("in the way")
    monkeypatch.setattr(preflight, "LEAST_FREE", 2**70)
    monkeypatch.setattr(doctor, "_ENGINES", ("no-such-engine",))
    failures = [finding for finding in doctor.examine(settings) if finding.state == "fail"]

    assert len(failures) >= 3
    assert all(finding.todo and finding.message for finding in failures)
