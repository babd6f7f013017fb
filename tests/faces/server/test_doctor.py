"""The doctor looks at everything, goes on when something is wrong, and each finding that is says how to mend it."""

import importlib.metadata
import socket

import pytest

from gimbal.faces.server import doctor, preflight
from gimbal.kernel.settings import BlobsSettings, ServerSettings, Settings


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
    assert {"python", "chdb", "sqlite", "data folder", "disk", "port", "grpc port", "clock", "stores"} <= set(found)
    assert found["chdb"].message == importlib.metadata.version("chdb")
    assert found["port"].message == f"127.0.0.1:{settings.server.port} is free"
    assert found["clock"].message.endswith("UTC")


def test_a_data_folder_that_cannot_be_is_a_finding_and_the_rest_is_looked_at(settings, tmp_path):
    (tmp_path / "data").write_text("in the way")
    found = examine(settings)

    assert found["data folder"].state == "fail"
    assert "--data" in found["data folder"].todo
    assert found["stores"].state == "ok"


def test_a_data_folder_under_a_file_fails_for_the_disk_as_well(tmp_path):
    (tmp_path / "file").write_text("")
    found = examine(Settings(data=str(tmp_path / "file" / "data"), server=ServerSettings(port=free(), grpc_port=0)))

    assert [found[part].state for part in ("data folder", "disk")] == ["fail", "fail"]
    assert all(found[part].todo for part in ("data folder", "disk"))
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


def test_stores_elsewhere_are_named_without_their_addresses(settings):
    """Addresses have passwords in them."""
    found = examine(Settings(data=settings.data, server=settings.server, blobs=BlobsSettings(url="s3://key:pw@bucket")))

    assert "blobs" in found["stores"].message
    assert "pw" not in found["stores"].message


def test_every_failure_has_a_way_to_mend_it(settings, tmp_path, monkeypatch):
    (tmp_path / "data").write_text("in the way")
    monkeypatch.setattr(preflight, "LEAST_FREE", 2**70)
    monkeypatch.setattr(doctor, "_ENGINES", ("no-such-engine",))
    failures = [finding for finding in doctor.examine(settings) if finding.state == "fail"]

    assert len(failures) >= 3
    assert all(finding.todo and finding.message for finding in failures)
