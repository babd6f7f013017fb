"""A prompt in a program: filled from memory, following its alias, linked to the trace it is used in."""

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from bench.bar import Running
from tests.links import Answer, Scripted, scripted

import gimbal
from gimbal.generative.prompts.model import (
    VARIABLES_ATTRIBUTE,
    PromptFile,
    PromptManifest,
    PromptMessage,
    PromptView,
)
from gimbal.kernel.errors import BadInput, NotAuthenticated, NotFound

TEXT = """+++
model = "local/extractive"

[params]
temperature = 0.5

[variables.tone]
default = "friendly"

[[tools]]
name = "search"

[response]
name = "reply"
schema = {{ type = "object" }}
+++

## system
Be {{{{tone}}}}. Round {round}.

## user
{{{{question}}}}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test copies of its own."""
    monkeypatch.setenv("GIMBAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def sync(client: gimbal.Client, name: str, rounds: int = 1) -> None:
    """Make versions v1 to `rounds`, and let production stand on the first."""
    for number in range(1, rounds + 1):
        client.prompts.sync(files=[PromptFile(path=f"{name}.md", text=TEXT.format(round=number))])
    client.assets.move_alias(f"prompt:{name}", "production", to="v1")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def shown(number: int = 1, name: str = "far/answer") -> Answer:
    """Answer as the server shows a version."""
    manifest = PromptManifest(
        messages=(PromptMessage(role="user", content=f"{number}: {{{{question}}}}"),),
        model="local/extractive",
        variables=("question",),
    )
    view = PromptView(ref=f"prompt:{name}@v{number}", digest="b3:" + "0" * 63 + str(number), manifest=manifest)
    return Answer(200, msgspec.json.encode(view))


def shows(port: Scripted) -> int:
    return sum("/prompts/" in path for _, path, _ in port.asked)


def test_a_prompt_is_filled_in_the_program(client: gimbal.Client) -> None:
    """Messages ready to send, the same as the server would fill, and all else that a call needs."""
    sync(client, "held/answer")

    held = gimbal.prompt("held/answer@production", client=client)

    messages = held.format(question="Why {{tone}}?")
    assert messages == [
        {"role": "system", "content": "Be friendly. Round 1."},
        {"role": "user", "content": "Why {{tone}}?"},
    ]
    far = gimbal.prompt("held/answer@production", {"question": "Why {{tone}}?"}, client=client)
    assert [msgspec.to_builtins(message) for message in far.messages] == messages
    assert (held.ref, held.version, held.model, held.params) == (far.ref, 1, far.model, far.params)
    assert (held.tools, held.response, held.variables) == (far.tools, far.response, ("question", "tone"))
    assert held.digest == client.prompts.show("prompt:held/answer").digest
    assert repr(held) == "<prompt:held/answer@production, now prompt:held/answer@v1>"


def test_values_that_do_not_fit_are_the_errors_that_the_server_gives(client: gimbal.Client) -> None:
    """Missing, unknown, of another type: named; text of any kind is taken as it is."""
    sync(client, "held/strict")
    held = gimbal.prompt("held/strict@v1", client=client)

    for wrong in ({}, {"question": "?", "mood": 1}, {"question": None}, {"question": "?", "tone": 3}):
        with pytest.raises(BadInput) as here:
            held.format(**wrong)
        with pytest.raises(BadInput) as there:
            gimbal.prompt("held/strict@v1", wrong, client=client)
        assert (str(here.value), here.value.where) == (str(there.value), there.value.where)
    for odd in ("", "\0" * 10, "שלום {{#if", "x" * 5_000_000):
        assert held.format(question=odd)[1]["content"] == odd
    assert held.format(question="a\udc80")[1]["content"] == "a\\udc80"


def test_every_form_of_a_reference_is_one(client: gimbal.Client) -> None:
    """Aliases, versions, digests, an alias at a time; what is no prompt says so."""
    sync(client, "held/forms", 2)
    digest = client.prompts.show("prompt:held/forms@v2").digest
    for form, version in (("", 2), ("@v1", 1), (f"@{digest[:15]}", 2), ("@latest", 2), ("@production", 1)):
        assert gimbal.prompt(f"prompt:held/forms{form}", client=client).version == version
    assert gimbal.prompt("held/forms@production~2030-01-01T00:00Z", client=client).version == 1
    with pytest.raises(NotFound):
        gimbal.prompt("held/forms@production~2020-01-01T00:00Z", client=client)
    with pytest.raises(BadInput, match="is not a prompt"):
        gimbal.prompt("model:held/forms", client=client)
    with pytest.raises(NotFound, match="held/nothing"):
        gimbal.prompt("held/nothing@production", client=client)


def test_a_moved_alias_is_followed(client: gimbal.Client) -> None:
    """Nobody asks again: the next use has the new version; what is pinned stays, and the newest is followed, too."""
    sync(client, "held/moving")
    held, newest = (gimbal.prompt(f"held/moving{at}", client=client) for at in ("@production", ""))
    pinned, before = gimbal.prompt("held/moving@v1", client=client), held.pinned
    client.prompts.sync(files=[PromptFile(path="held/moving.md", text=TEXT.format(round=2))])
    client.assets.move_alias("prompt:held/moving", "production", to="v2")
    client.assets.move_alias("prompt:held/moving", "other", to="v1")

    until(lambda: held.version == 2 and newest.version == 2)

    assert held.format(question="?")[0]["content"] == "Be friendly. Round 2."
    assert (pinned.version, before.version) == (1, 1)
    assert before.format(question="?")[0]["content"] == "Be friendly. Round 1."
    client.assets.move_alias("prompt:held/moving", "production", to="v1")
    until(lambda: held.version == 1)


def test_what_the_server_takes_back_is_refused_until_it_is_there_again(client: gimbal.Client) -> None:
    """An alias that is removed: its users hear so; they go on when it is set again."""
    sync(client, "held/gone")
    held = gimbal.prompt("held/gone@production", client=client)

    def refused() -> bool:
        try:
            held.format(question="?")
        except NotFound:
            return True
        return False

    client.assets.remove_alias("prompt:held/gone", "production")
    until(refused)
    with pytest.raises(NotFound):
        gimbal.prompt("held/gone@production", client=client)
    client.assets.move_alias("prompt:held/gone", "production", to="v1")
    until(lambda: not refused())


def test_a_revoked_key_is_no_key_any_more(up: Running, client: gimbal.Client) -> None:
    """What it follows cannot be used any longer, and is not fetched again."""
    sync(client, "held/secret")
    issued = client.keys.create(name="short-lived")
    with gimbal.Client(up.url, key=issued.secret) as far:
        held = gimbal.prompt("held/secret@production", client=far)
        assert held.version == 1
        client.keys.revoke(issued.key.id)

        def refused() -> bool:
            try:
                held.format(question="?")
            except NotAuthenticated:
                return True
            return False

        until(refused)
        with pytest.raises(NotAuthenticated):
            gimbal.prompt("held/secret@production", client=far)


def test_later_uses_ask_nothing_of_what_cannot_change() -> None:
    """A version, a digest and an alias of long ago are fetched once for ever, by whatever process."""
    with scripted(shown()) as port, gimbal.Client(port.url) as far:
        for form in ("v1", "b3:00000000", "production~2026-01-01T00:00Z"):
            for _ in range(3):
                assert gimbal.prompt(f"far/answer@{form}", client=far).format(question="?")[0]["content"] == "1: ?"
        assert len(port.asked) == 3


def test_twenty_threads_make_one_request() -> None:
    """Who comes while the first is asking waits for its answer."""
    with scripted(shown()) as port, gimbal.Client(port.url) as far, ThreadPoolExecutor(20) as pool:
        start = threading.Barrier(20)

        def use(_: int) -> str:
            start.wait()
            return gimbal.prompt("far/answer@v1", client=far).format(question="?")[0]["content"]

        assert list(pool.map(use, range(20))) == ["1: ?"] * 20
        assert shows(port) == 1


def test_servers_projects_and_keys_are_kept_apart(up: Running, cache: Path) -> None:
    """The same reference of another project is another prompt, in memory and on disk."""
    with gimbal.Client(up.url) as one:
        one.projects.create(slug="held-other")
        sync(one, "held/apart")
        assert gimbal.prompt("held/apart@production", client=one).version == 1
        with gimbal.Client(up.url, project="held-other") as other:
            with pytest.raises(NotFound):
                gimbal.prompt("held/apart@production", client=other)
            sync(other, "held/apart", 2)
            other.assets.move_alias("prompt:held/apart", "production", to="v2")
            assert gimbal.prompt("held/apart@production", client=other).version == 2
        assert gimbal.prompt("held/apart@production", client=one).version == 1
    assert len(list((cache / "prompts").iterdir())) == 2
    with scripted(Answer(401, b'{"error":{"code":"not_authenticated","message":"No."}}')) as port:
        for key in ("a", "b"):
            with gimbal.Client(port.url, key=key) as far, pytest.raises(gimbal.GimbalError, match=r"No\."):
                gimbal.prompt("far/answer@v1", client=far)
        assert len(port.asked) == 2


def test_a_span_names_the_versions_that_it_used(client: gimbal.Client) -> None:
    """Each once, with the values of the last, on the span in which they were filled; outside of spans nothing happens."""
    sync(client, "held/traced")
    sync(client, "held/second")
    first, second = (gimbal.prompt(f"held/{name}@production", client=client) for name in ("traced", "second"))
    first.format(question="outside")

    with gimbal.trace("answer", client=client) as root:
        first.format(question="?")
        second.format(question="?")
        first.format(question="again")
        with gimbal.span("filled there"):
            gimbal.prompt("held/second@v1", {"question": "?"}, client=client)
        with gimbal.span("nothing"):
            pass
    gimbal.flush(client)

    found = client.traces.show(root.trace_id).spans
    used = {span.name: json.loads(span.attributes.get(VARIABLES_ATTRIBUTE, "null")) for span in found}
    assert used == {"answer": {"question": "again"}, "filled there": {"question": "?"}, "nothing": None}
    spans = {span.name: span.refs for span in found}
    assert spans == {
        "answer": ["prompt:held/traced@v1", "prompt:held/second@v1"],
        "filled there": ["prompt:held/second@v1"],
        "nothing": [],
    }


def test_a_forked_child_goes_on(client: gimbal.Client) -> None:
    """It has what its parent had, without a request, and follows by a thread of its own."""
    sync(client, "held/forked", 2)
    held = gimbal.prompt("held/forked@production", client=client)
    held.format(question="?")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, str(held.version).encode())
            deadline = time.monotonic() + 20
            while held.version == 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            os.write(write, str(held.version).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb", buffering=0) as told:
        assert told.read(1) == b"1"
        client.assets.move_alias("prompt:held/forked", "production", to="v2")
        assert told.read(1) == b"2"
    os.waitpid(child, 0)
