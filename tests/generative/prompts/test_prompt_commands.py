"""`gimbal sync`, `gimbal prompts diff` and `gimbal prompts pull`, as a person calls them against a real server."""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import gimbal.axis.assets.operations  # noqa: F401 - importing it fills the table
from gimbal.axis.assets.service import Assets
from gimbal.faces.cli.main import main
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound

TEXT = '+++\nmodel = "m"\n+++\n\n## user\n{{question}}\n'


class Ran(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Run = Callable[..., Awaitable[Ran]]


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.fixture
def run(base_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line; `answer` is typed in where somebody is asked."""
    monkeypatch.setenv("GIMBAL_URL", base_url)
    monkeypatch.setenv("GIMBAL_API_KEY", "none")

    def ran(words: tuple[str, ...]) -> int:
        try:
            main(list(words))
        except SystemExit as done:
            return int(done.code or 0)
        return 0

    async def run(*words: str, answer: str | None = None) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO() if answer is None else Terminal(answer))
        code = await asyncio.to_thread(ran, words)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one prompt file, with the line ends of Windows."""
    (tmp_path / "files" / "help").mkdir(parents=True)
    (tmp_path / "files" / "help" / "answer.md").write_bytes(TEXT.replace("\n", "\r\n").encode())
    return tmp_path / "files"


async def test_sync_shows_what_it_would_do_asks_and_does_it(run: Run, ctx: Context, folder: Path):
    refused = await run("sync", str(folder))
    assert refused.code == 1
    assert "+ prompt:help/answer@v1  help/answer.md" in refused.out
    assert "  +{{question}}" in refused.out
    assert "1 to create, 0 to change, 0 unchanged" in refused.out
    assert "--yes" in refused.err
    assert (await run("sync", str(folder), answer="no\n")).code == 1
    assert (await run("sync", str(folder), answer="")).code == 1
    with pytest.raises(NotFound):
        await ctx.get(Assets).resolve(ctx, "prompt:help/answer")

    done = await run("sync", str(folder), "--note", "first", answer="y\n")

    assert (done.code, done.out.endswith("written  prompt:help/answer@v1\n")) == (0, True)
    version = await ctx.get(Assets).resolve(ctx, "prompt:help/answer")
    assert version.note == "first"
    again = await run("sync", str(folder), answer=None)
    assert (again.code, again.out) == (0, "0 to create, 0 to change, 1 unchanged\n")
    # Without a terminal there are no colours.
    assert "\x1b" not in refused.out


async def test_check_says_whether_something_would_change(run: Run, ctx: Context, folder: Path):
    assert (await run("sync", str(folder), "--check")).code == 1
    assert (await run("sync", str(folder), "--yes")).code == 0
    assert (await run("sync", str(folder), "--check")).code == 0
    await sync_files(ctx, [PromptFile(path="other.md", text=TEXT)])
    (folder / "help" / "answer.md").write_text(TEXT.replace('"m"', '"n\\u001b[31m"'))
    found = await run("sync", str(folder), "--check")
    assert found.code == 1
    assert "~ prompt:help/answer@v2  help/answer.md\n  model: changed m → n" in found.out
    assert "left alone: prompt:other" in found.out
    assert "\x1b" not in found.out
    assert (await ctx.get(Assets).resolve(ctx, "prompt:help/answer")).number == 1


async def test_what_happened_between_plan_and_answer_is_a_conflict(run: Run, ctx: Context, folder: Path, monkeypatch):
    loop = asyncio.get_running_loop()
    theirs = [PromptFile(path="help/answer.md", text=TEXT + "theirs")]

    def late(question: str) -> str:
        """Answer when another one was first."""
        asyncio.run_coroutine_threadsafe(sync_files(ctx, theirs), loop).result(30)
        return "y"

    monkeypatch.setattr("builtins.input", late)
    stopped = await run("sync", str(folder), answer="y\n")

    assert (stopped.code, "[stale_version]" in stopped.err) == (1, True)
    assert (await ctx.get(Assets).resolve(ctx, "prompt:help/answer")).number == 1


async def test_diff_shows_what_two_versions_mean_and_say(run: Run, ctx: Context):
    for word in ("one", "two"):
        await sync_files(ctx, [PromptFile(path="a.md", text=TEXT + word)])
    found = await run("prompts", "diff", "prompt:a@v1", "prompt:a@v2")
    assert found.code == 0
    assert found.out.startswith("prompt:a@v1 → prompt:a@v2\n  messages [0].content: changed")
    assert "  -one\n" in found.out
    assert "  +two\n" in found.out
    assert '"part": "messages"' in (await run("prompts", "diff", "prompt:a@v1", "prompt:a@v2", "--json")).out
    assert "nothing differs" in (await run("prompts", "diff", "prompt:a", "prompt:a@v2")).out


async def test_pull_writes_what_was_synced_byte_for_byte(run: Run, ctx: Context, folder: Path, tmp_path: Path):
    await run("sync", str(folder), "--yes")
    manifest = {"messages": [{"role": "user", "content": "Hi"}], "model": "m"}
    await ctx.get(Assets).add_version(ctx, kind="prompt", name="made", manifest=manifest)
    foreign = manifest | {"foreign": {"format": "mlflow", "registration": "1"}}
    await ctx.get(Assets).add_version(ctx, kind="prompt", name="theirs", manifest=foreign)
    target = tmp_path / "pulled"

    done = await run("prompts", "pull", str(target))

    assert done.code == 0
    assert "left       prompt:theirs@v1  prompt:theirs@v1 was registered by mlflow's client" in done.out
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*.md")) == ["help/answer.md", "made.md"]
    assert (target / "help/answer.md").read_bytes() == (folder / "help/answer.md").read_bytes()
    assert (await run("sync", str(target), "--check")).code == 0
    (target / "made.md").write_text("mine")
    kept = await run("prompts", "pull", str(target))
    assert (kept.code, (target / "made.md").read_text()) == (1, "mine")
    assert "kept       prompt:made@v1" in kept.out
    assert (await run("prompts", "pull", str(target), "--force")).code == 0
    assert "Hi" in (target / "made.md").read_text()
