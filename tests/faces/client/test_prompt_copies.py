"""Prompts while the server is away: programs go on, and start, by what is on disk, and say so."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench.bar import gimbal_up
from tests.links import Answer, Cable, scripted

import gimbal
from gimbal.faces.client.prompting import copies
from gimbal.faces.client.prompting.copies import Copies
from gimbal.generative.prompts.model import PromptFile, PromptManifest, PromptMessage, PromptView
from gimbal.kernel.errors import NotFound, Unavailable
from gimbal.kernel.refs import Ref

TEXT = '+++\nmodel = "local/extractive"\n+++\n\n## user\nAnswer {{question}}.\n'
# Fills a prompt and prints what came out, or the error.
PROGRAM = """
import gimbal, sys
try:
    print(gimbal.prompt(sys.argv[1]).format(question="why")[0]["content"])
except gimbal.GimbalError as problem:
    print(problem)
"""
NAME = "prompt:copied/answer@production"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test copies of its own."""
    monkeypatch.setenv("GIMBAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def there(client: gimbal.Client) -> None:
    """Put a prompt into production."""
    client.prompts.sync(files=[PromptFile(path="copied/answer.md", text=TEXT)])
    client.assets.move_alias("prompt:copied/answer", "production", to="v1")


def ran(url: str, cache: Path, ref: str = NAME) -> "subprocess.CompletedProcess[str]":
    environment = {"GIMBAL_URL": url, "GIMBAL_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, ref], env=environment, capture_output=True, text=True, timeout=60, check=True
    )


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("prompts/*/*"))


def view(name: str, number: int = 1, content: str = "Hello.") -> PromptView:
    manifest = PromptManifest(messages=(PromptMessage(role="user", content=content),), model="local/extractive")
    return PromptView(ref=f"prompt:{name}@v{number}", digest="b3:" + "0" * 64, manifest=manifest)


@pytest.mark.usefixtures("there")
def test_a_program_starts_while_the_server_is_away(cable: Cable, cache: Path) -> None:
    """From the copy of an earlier one, with one warning of its age; its version is there by its own name as well."""
    assert ran(cable.url, cache).stdout == "Answer why.\n"
    assert {path.stat().st_mode & 0o777 for path in files(cache)} == {0o600}
    for path in files(cache):
        os.utime(path, (time.time() - 7300, time.time() - 7300))
    cable.pull()

    later, exact = ran(cable.url, cache), ran(cable.url, cache, "copied/answer@v1")

    assert (later.stdout, exact.stdout) == ("Answer why.\n", "Answer why.\n")
    assert re.findall("is used as the server said (.*?), (.*?): Gimbal does not answer", later.stderr) == [
        ("2 h ago", "prompt:copied/answer@v1")
    ]
    assert later.stderr.count("\n") == 1
    assert exact.stderr == ""
    cable.plug()
    assert ran(cable.url, cache).stderr == ""


def test_what_was_never_seen_is_an_error_that_says_so(cable: Cable, cache: Path) -> None:
    """Neither the server nor a copy: Unavailable, and what to do."""
    cable.pull()
    said = ran(cable.url, cache).stdout
    assert f"does not answer at {cable.url}, and there is no copy of {NAME} from before" in said
    assert "gimbal up" in said
    with gimbal.Client(cable.url) as far, pytest.raises(Unavailable):
        gimbal.prompt(NAME, client=far)


@pytest.mark.usefixtures("there")
def test_a_damaged_copy_is_not_used(cable: Cable, cache: Path) -> None:
    """Cut, changed, empty, or another one's: it is as if there were none, and the next answer mends it."""
    ran(cable.url, cache)
    mine, other = files(cache)
    whole = {path: path.read_bytes() for path in (mine, other)}
    kept, refs = Copies(cable.url, "default"), [Ref.parse(NAME), Ref.parse("prompt:copied/answer@v1")]
    assert all(kept.read(ref) for ref in refs)
    cable.pull()
    for wrong in (b"", whole[mine][:-9], whole[mine].replace(b"Answer", b"Anwser"), b"\0" * 99, whole[other]):
        mine.write_bytes(wrong)
        other.write_bytes(wrong if wrong != whole[other] else whole[mine])
        assert [kept.read(ref) for ref in refs] == [None, None]
    done = ran(cable.url, cache)
    assert "there is no copy" in done.stdout
    assert "is damaged and is not used" in done.stderr
    cable.plug()
    assert ran(cable.url, cache).stdout == "Answer why.\n"
    cable.pull()
    assert ran(cable.url, cache).stdout == "Answer why.\n"


@pytest.mark.usefixtures("there")
def test_nobody_waits_twice_for_a_server_that_does_not_answer(client: gimbal.Client, cache: Path) -> None:
    """Once it is known to be away, further copies are used at once: one request in all."""
    answer = client.prompts.show(NAME)
    busy = Answer(503, b'{"error":{"code":"unavailable","message":"Starting."}}')
    with scripted(busy) as port, gimbal.Client(port.url, patience=0) as far:
        kept = Copies(far.transport.url, "default")
        for alias in "abcde":
            kept.write(Ref.parse(f"prompt:copied/answer@{alias}"), answer)
        held = [gimbal.prompt(f"copied/answer@{alias}", client=far) for alias in "abcde"]
        assert [one.format(question="?")[0]["content"] for one in held] == ["Answer ?."] * 5
        assert sum("/prompts/" in path for _, path, _ in port.asked) == 1


def test_a_killed_server_does_not_stop_a_program(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It goes on with what it has, tells once, and follows again when the server is back."""

    def told() -> int:
        said = f"prompts are used as they are until the server at {first.url}"
        return sum(record.getMessage().startswith(said) for record in caplog.records)

    with gimbal_up(tmp_path / "data") as first:
        port = int(first.url.rpartition(":")[2])
        client = gimbal.Client(first.url, patience=10)
        client.prompts.sync(files=[PromptFile(path="copied/answer.md", text=TEXT)])
        client.assets.move_alias("prompt:copied/answer", "production", to="v1")
        held = gimbal.prompt(NAME, client=client)
        held.format(question="before")
        first.process.kill()
        first.process.wait()
        deadline = time.monotonic() + 20
        while told() == 0 and time.monotonic() < deadline:
            assert held.format(question="why") == [{"role": "user", "content": "Answer why."}]
            time.sleep(0.01)
        assert told() == 1
    with gimbal_up(tmp_path / "data", port=port):
        client.prompts.sync(files=[PromptFile(path="copied/answer.md", text=TEXT.replace("Answer", "Tell"))])
        client.assets.move_alias("prompt:copied/answer", "production", to="v2")
        deadline = time.monotonic() + 20
        while held.version == 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert told() == 1
        client.close()


def test_what_the_server_refuses_is_not_taken_from_disk(cache: Path) -> None:
    """Its word holds, and what is not there any more leaves the disk; a stranger's page and a 500 are no word of it."""
    gone = Answer(404, b'{"error":{"code":"not_found","message":"Gone."}}')
    broken = Answer(500, b"oops")
    for answer in (gone, broken):
        with scripted(answer) as port, gimbal.Client(port.url, patience=0) as far:
            kept = Copies(far.transport.url, "default")
            ref = Ref.parse("prompt:copied/refused@production")
            kept.write(ref, view("copied/refused"))
            if answer is broken:
                assert gimbal.prompt(str(ref), client=far).version == 1
                continue
            with pytest.raises(NotFound, match="Gone"):
                gimbal.prompt(str(ref), client=far)
            assert kept.read(ref) is None


def test_copies_do_not_fill_the_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were told longest ago go, and what killed processes left half-written."""
    monkeypatch.setattr(copies, "MOST_FILES", 5)
    kept = Copies("http://far:1", "default")
    refs = [Ref.parse(f"prompt:copied/p{number}@v1") for number in range(9)]
    for ref in refs[:5]:
        kept.write(ref, view(ref.name))
    assert kept.folder is not None
    part = kept.folder / "half.part"
    part.write_bytes(b"gimbal")
    for path in kept.folder.iterdir():
        os.utime(path, (1e9, 1e9))
    for ref in refs[5:]:
        kept.write(ref, view(ref.name))

    assert not part.exists()
    assert len(files(cache)) == 5
    assert all(kept.read(ref) for ref in refs[5:])


def test_a_folder_that_takes_nothing_does_not_stop_a_program(
    there: None, client: gimbal.Client, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The prompt is there all the same; that it is not kept is told once."""
    cache.write_text("no folder")
    client.assets.move_alias("prompt:copied/answer", "unkept", to="v1")

    assert gimbal.prompt("copied/answer@unkept", client=client).format(question="why")

    assert sum(f"prompts cannot be kept in {cache}" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.usefixtures("there")
def test_many_programs_share_the_folder(cable: Cable, cache: Path) -> None:
    """They write the same copies at once: each is whole, and nothing half-written stays."""
    environment = {"GIMBAL_URL": cable.url, "GIMBAL_CACHE": str(cache)}
    command = [sys.executable, "-c", PROGRAM, NAME]
    all_ = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(4)]
    assert [one.communicate(timeout=60)[0] for one in all_] == [b"Answer why.\n"] * 4
    cable.pull()

    assert ran(cable.url, cache).stdout == "Answer why.\n"
    assert [path.suffix for path in files(cache)] == [".prompt", ".prompt"]
