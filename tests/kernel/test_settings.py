"""Settings: file, variables and flags in their order, and errors that name the place."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.kernel.errors import CorruptSettings
from gimbal.kernel.settings import LoadedSettings, Settings, load_settings, mask_password, variable_name


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str | None = None, environ: dict[str, str] | None = None, **flags: Any) -> LoadedSettings:
    if text is not None:
        Path("gimbal.toml").write_text(text)
    return load_settings(environ=environ or {}, flags={name.replace("__", "."): v for name, v in flags.items()})


def test_without_anything_every_setting_has_its_default() -> None:
    """On loopback, in the working folder."""
    loaded = load()

    assert loaded.settings == Settings()
    assert loaded.sources == {}
    assert loaded.settings.server.host == "127.0.0.1"
    assert {row.source for row in loaded.values()} == {"default"}


def test_flags_win_over_variables_and_these_over_the_file() -> None:
    """And each value says where it came from."""
    text = 'data = "a"\n[server]\nport = 1\ngrpc_port = 2\n[worker]\nconcurrency = 3\n'
    loaded = load(text, {"GIMBAL_SERVER_PORT": "10", "GIMBAL_SERVER_GRPC_PORT": "20"}, server__grpc_port=200, data=None)

    server = loaded.settings.server
    assert (loaded.settings.data, server.port, server.grpc_port, loaded.settings.worker.concurrency) == (
        "a",
        10,
        200,
        3,
    )
    sources = {row.path: row.source for row in loaded.values()}
    assert sources["data"] == "gimbal.toml"
    assert sources["server.port"] == "GIMBAL_SERVER_PORT"
    assert sources["server.grpc_port"] == "command line"
    assert sources["server.host"] == "default"


def test_variables_have_the_type_of_their_setting() -> None:
    """Numbers, lists by comma, words of a choice, JSON for the rest."""
    provider = {"name": "near", "kind": "openai", "base_url": "http://127.0.0.1:1/v1"}
    loaded = load(
        environ={
            "GIMBAL_SERVER_ALLOWED_HOSTS": "a.example, b.example,",
            "GIMBAL_SERVER_REQUEST_TIMEOUT_S": "2.5",
            "GIMBAL_LOG_FORMAT": "json",
            "GIMBAL_GATEWAY_PROVIDERS": msgspec.json.encode([provider]).decode(),
            "GIMBAL_PROJECT": "flights",
        }
    ).settings

    assert loaded.server.allowed_hosts == ("a.example", "b.example")
    assert loaded.server.request_timeout_s == 2.5
    assert loaded.log.format == "json"
    assert loaded.gateway.providers[0].name == "near"
    assert loaded.project == "flights"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[server\n", "TOML"),
        ('data = "a"\ndata = "b"\n', "TOML"),
        ("[server]\nprot = 1\n", "server.prot"),
        ("[sever]\nport = 1\n", "sever"),
        ('[server]\nport = "x"\n', "server.port"),
        ("[server]\nport = 99999\n", "server.port"),
        ("[server]\nport = -1\n", "server.port"),
        ("[server]\nmax_body_bytes = 0\n", "server.max_body_bytes"),
        ("[server]\nrequest_timeout_s = 0\n", "server.request_timeout_s"),
        ("server = 3\n", "server"),
        ('[log]\nlevel = "loud"\n', "log.level"),
        ('[[gateway.providers]]\nname = "x"\n', "gateway.providers"),
    ],
)
def test_a_bad_file_is_named_with_the_place(text: str, word: str) -> None:
    """What is wrong, in which file, and what to do; also when a variable sets something beside it."""
    for environ in ({}, {"GIMBAL_SERVER_HOST": "127.0.0.1"}):
        with pytest.raises(CorruptSettings, match=word) as caught:
            load(text, environ)
        assert caught.value.where == "gimbal.toml"
        assert caught.value.todo


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GIMBAL_SERVER_PORT", "http"),
        ("GIMBAL_SERVER_PORT", "8765.5"),
        ("GIMBAL_SERVER_PORT", "70000"),
        ("GIMBAL_SERVER_PORT", ""),
        ("GIMBAL_SERVER_REQUEST_TIMEOUT_S", "-1"),
        ("GIMBAL_LOG_LEVEL", "loud"),
        ("GIMBAL_GATEWAY_PROVIDERS", "[{]"),
        ("GIMBAL_GATEWAY_PROVIDERS", "[1]"),
        ("GIMBAL_WRITER_MAX_WAIT_MS", "99999999999999999999"),
    ],
)
def test_a_bad_variable_is_named(variable: str, value: str) -> None:
    """Not the file, which is innocent."""
    with pytest.raises(CorruptSettings) as caught:
        load('data = "a"\n', {variable: value})
    assert variable in caught.value.where or "gateway.providers" in str(caught.value)


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    """By flag or by GIMBAL_CONFIG; a folder or bytes that are no text are refused as well."""
    (tmp_path / "latin.toml").write_bytes(b'data = "\xff"')
    for file in ("missing.toml", ".", "latin.toml"):
        with pytest.raises(CorruptSettings, match=r"cannot be read|not valid TOML"):
            load_settings(Path(file), {})
        with pytest.raises(CorruptSettings):
            load_settings(environ={"GIMBAL_CONFIG": file})


def test_a_misspelt_variable_is_told_and_others_are_not() -> None:
    """So that `GIMBAL_SERVER_PROT` is not silently without effect."""
    environ = {"GIMBAL_SERVER_PROT": "1", "GIMBAL_URL": "http://x", "GIMBAL_API_KEY": "gk_x", "PATH": "/bin"}

    assert load(environ=environ).unknown_variables == ("GIMBAL_SERVER_PROT",)


def test_every_setting_says_what_it_means() -> None:
    """With a docstring under its field, and a variable of its own."""
    rows = load().values()

    assert [row.path for row in rows if not row.meaning] == []
    assert len({variable_name(tuple(row.path.split("."))) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://gimbal:se:cr@et@db/x", "postgresql://gimbal:***@db/x"),
        ("http://user:pw@host:8123/db?x=a:b@c", "http://user:***@host:8123/db?x=a:b@c"),
        ("http://host:8123/db", "http://host:8123/db"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("127.0.0.1", "127.0.0.1"),
        ("", ""),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    """Neither by the helper nor in the list of settings."""
    assert mask_password(url) == shown
    values = {r.path: r.value for r in load(environ={"GIMBAL_CATALOG_URL": url}).values()}
    assert values["catalog.url"] == shown


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_value_of_a_variable_is_read_or_told(value: str) -> None:
    """No other error than CorruptSettings."""
    for variable in (
        "GIMBAL_SERVER_PORT",
        "GIMBAL_SERVER_ALLOWED_HOSTS",
        "GIMBAL_LOG_FORMAT",
        "GIMBAL_GATEWAY_PROVIDERS",
    ):
        try:
            load_settings(environ={variable: value})
        except CorruptSettings:
            continue
