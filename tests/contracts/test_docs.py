"""The docs are true: every snippet runs against a real server, links lead somewhere, the reference is the source's."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.bar import Running, gimbal_up

from gimbal.axis.evals.http.files import read_service
from gimbal.axis.pricing.book import read_book
from gimbal.generative.gateway.routes.files import read_route
from gimbal.generative.guards.files import read_policy
from gimbal.kernel.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_END = "the end of the page"
_LINK = re.compile(r"\]\(([^)#:]+?)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Start a Gimbal as a reader has it after `gimbal up`."""
    with gimbal_up() as running:
        yield running


def reader(url: str) -> dict[str, str]:
    """Return the environment of a reader who activated the one that Gimbal is installed in: `gimbal` and `python` are that one's."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"GIMBAL_URL": url, "PATH": path}


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(page.read_text()) if found == language]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=named)
def test_python_snippets_run_in_order(page: Path, server: Running, tmp_path: Path) -> None:
    """A reader who types a page from top to bottom gets no error."""
    script = tmp_path / "page.py"
    # What ends the process half-way ends it without an error.
    script.write_text("\n".join([*blocks(page, "python"), f"print({_END!r})"]))
    environment = reader(server.url)
    # In a folder of its own: what a page writes, it does not write into the repository.
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith(f"{_END}\n")


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=named)
def test_settings_that_are_shown_are_settings(page: Path, tmp_path: Path) -> None:
    """What a page says to put into `gimbal.toml`, a price book, a route or a policy is accepted; other files parse at least."""
    for text in blocks(page, "toml"):
        read = set(tomllib.loads(text))
        if "price" in read:
            assert read_book(text, page.name).prices
        elif "guards" in read:
            assert read_policy(text, page.name)[1].guards
        elif "url" in read:
            assert read_service(text, page.name)[1].url
        elif "targets" in read:
            assert read_route(text, page.name)[1].targets
        elif read - {"project"}:
            (tmp_path / "gimbal.toml").write_text(text)
            assert load_settings(file=tmp_path / "gimbal.toml", environ={}).sources


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "sh")], ids=named)
def test_shell_snippets_run(page: Path, server: Running, tmp_path: Path) -> None:
    """Every command that a page shows works as it stands there, with the files that it shows by name beside it."""
    for text in (text for language in ("toml", "yaml", "python") for text in blocks(page, language)):
        if head := re.match(r"# (\S+\.(?:toml|yaml|py))\n", text):
            (tmp_path / head[1]).write_text(text)
    environment = reader(server.url) | {"GIMBAL_SERVER_PORT": server.url.rpartition(":")[2]}
    for line in "\n".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == "gimbal", line
        command = [sys.executable, "-m", "gimbal.faces.cli.main", *words[1:]]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-1000:]}{done.stderr[-1000:]}"


def test_blocks_say_what_they_are() -> None:
    """A block is python or sh, which run, or another named language, which is shown."""
    assert [named(p) for p in PAGES if any(language == "" for language, _ in _BLOCK.findall(p.read_text()))] == []


def test_links_lead_somewhere() -> None:
    """Every relative link names a file that is there."""
    broken = [
        f"{named(page)}: {target}"
        for page in PAGES
        for target in _LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_the_reference_is_what_the_source_says() -> None:
    """`make generate` would write what is there; every operation, setting and error code is in it."""
    sys.path.insert(0, str(ROOT / "docs"))
    import generate  # type: ignore[import-not-found]

    assert [name for name, text in generate.pages().items() if (generate.FOLDER / name).read_text() != text] == []


def test_every_change_has_a_fragment() -> None:
    """The changelog tells in the user's words what came."""
    assert sorted((ROOT / "changelog.d").glob("*.md"))
