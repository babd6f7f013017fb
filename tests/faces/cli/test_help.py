"""Help and wrong usage: every command says what it is for and what it takes; mistakes end with 2 and a hint."""

import subprocess
import sys

import pytest

from gimbal.faces.cli import manifest, overview
from gimbal.faces.cli.app import build

from .conftest import Cli

TABLE = manifest.read()


def words_of(text: str) -> str:
    """Return text without the boxes and line breaks of the help."""
    return " ".join("".join(" " if c in "│╭╮╰╯─\n" else c for c in text).split())


def test_the_first_help_names_every_group_with_its_meaning(alone: Cli) -> None:
    """A newcomer sees what there is, what to start with, and what the exit codes mean, on 80 columns."""
    done = alone("--help")

    assert done.code == 0
    told = words_of(done.out)
    for group, meaning in TABLE.meanings.items():
        assert f"{group.replace('_', '-')} {meaning}" in told
    for part in ("gimbal up", "GIMBAL_URL", "0 done, 1 refused or failed, 2 wrong usage, 130 interrupted"):
        assert part in told
    for name, (_, meaning) in (overview.HERE | overview.OWN).items():
        assert f"{name} {meaning}" in told
    assert max(map(len, done.lines)) <= 80
    assert alone().out == alone("-h").out == done.out, "no words at all are a question for help"


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
def test_the_first_help_is_what_cyclopts_would_show(
    alone: Cli, monkeypatch: pytest.MonkeyPatch, width: int, terminal: bool
) -> None:
    """It is drawn without cyclopts, to the same letters, lines and colours; nothing is missing."""
    monkeypatch.setenv("COLUMNS", str(width))
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")

    drawn = alone("--help").out

    # Asked twice, cyclopts shows it. A style that ends where the same one begins again is one style.
    assert drawn == alone("--help", "--help").out.replace("\x1b[0m\x1b[1m", "")
    assert ("\x1b[" in drawn) == terminal


def test_the_first_help_says_of_a_command_what_its_own_help_says_first() -> None:
    """Also of those that are listed only, which nothing loads."""
    own = {name: str(build([name])[name].help).splitlines()[0] for name in overview.HERE}

    assert own == {name: meaning for name, (_, meaning) in overview.HERE.items()}
    assert own == {name: build([])[name].help for name in overview.HERE}


def command_line(command: manifest.Command) -> tuple[str, str]:
    """Return what is typed for a command: hyphens, where names in code have underscores."""
    return command.group.replace("_", "-"), command.verb.replace("_", "-")


def test_meanings_are_one_line() -> None:
    """Short enough to be read in a list, and sentences."""
    assert {g for g, text in TABLE.meanings.items() if len(text) > 80 or not text.endswith(".")} == set()
    assert set(TABLE.meanings) == {command.group for command in TABLE.commands}


@pytest.mark.parametrize("group", sorted(TABLE.meanings))
def test_the_help_of_a_group_names_its_commands(alone: Cli, group: str) -> None:
    """With its meaning on top."""
    done = alone(group.replace("_", "-"), "--help")

    told = words_of(done.out)
    assert done.code == 0
    assert TABLE.meanings[group] in told
    verbs = [command_line(command)[1] for command in TABLE.commands if command.group == group]
    assert [verb for verb in verbs if f" {verb} " not in told] == []
    assert max(map(len, done.lines)) <= 80


@pytest.mark.parametrize("command", TABLE.commands, ids=lambda c: f"{c.group} {c.verb}")
def test_the_help_of_a_command_names_what_it_takes(alone: Cli, command: manifest.Command) -> None:
    """Its summary, and each argument with its meaning."""
    done = alone(*command_line(command), "--help")

    told = words_of(done.out).replace("`", "")
    assert done.code == 0
    assert command.summary.replace("`", "").split(".")[0][:60] in told
    for argument in command.arguments:
        name = argument.name.replace("_", "-")
        assert f"--{name}" in told or name.upper() in told
        assert argument.place == "raw" or "project" in name or argument.doc, "an argument without a meaning"
    assert max(map(len, done.lines)) <= 80


@pytest.mark.parametrize("name", sorted(overview.HERE))
def test_commands_of_this_machine_have_help(alone: Cli, name: str) -> None:
    """Each says what its flags mean."""
    done = alone(name, "--help")

    assert done.code == 0
    assert f"Usage: gimbal {name}" in done.out


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        ("run list", 'Did you mean "runs"?', "gimbal --help"),
        ("runs lst", 'Did you mean "list"?', "gimbal runs --help"),
        ("entirely-else", 'Unknown command "entirely-else"', "gimbal --help"),
        ("runs show", "requires an argument", "gimbal runs show --help"),
        ("runs show a b", "there is no place for 'b'", "gimbal runs show --help"),
        ("runs list --limit many", 'unable to convert "many" into int', "gimbal runs list --help"),
        ("runs list --color red", "Unknown option: --color", "gimbal runs list --help"),
        ("up --port x", 'unable to convert "x" into int', "gimbal up --help"),
        ("up --role nobody", '"all", "server", "gateway", "worker", "model"', "gimbal up --help"),
    ],
)
def test_wrong_usage_ends_with_two_and_a_hint(alone: Cli, line: str, says: str, hint: str) -> None:
    """On standard error, in two lines, without a traceback; nothing was asked of a server."""
    done = alone(*line.split())

    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith("wrong usage: ")
    assert says in first
    assert second == f"to do: `{hint}` shows how it is used."


def test_only_the_group_that_is_asked_for_is_built() -> None:
    """So that the help stays quick however many operations there are."""
    assert "show" in build(["--verbose", "runs"])["runs"]
    assert "show" not in build(["assets"])["runs"]


def test_python_m_gimbal_is_gimbal_and_light() -> None:
    """`--version` and `--help` load nothing of the server, nor the HTTP client; `--help` reads no command line."""
    code = (
        "import sys, runpy\n"
        "sys.argv = ['gimbal', sys.argv[1]]\n"
        "try:\n    runpy.run_module('gimbal', run_name='__main__')\n"
        "except SystemExit as done:\n    assert not done.code\n"
        "heavy = {'httpx', 'sqlalchemy', 'pyarrow', 'numpy', 'chdb', 'uvicorn', 'jinja2', 'dbos', 'sklearn', 'cyclopts'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    for flag, part, loaded in (("--version", "0.", "['cyclopts']"), ("--help", "On the server", "[]")):
        done = subprocess.run([sys.executable, "-c", code, flag], capture_output=True, text=True, check=True)
        assert part in done.stdout
        assert done.stdout.splitlines()[-1] == loaded
