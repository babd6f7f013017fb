"""`gimbal suites contamination` and `synthesise` against a real server: exit codes, what is told, what is stored."""

import json
from pathlib import Path

import gimbal
from gimbal.axis.evals.model import Example

from .conftest import Cli

OWN = "Which of the two machines in the cellar needs new oil before the winter comes?"
OTHER = "How many ships lie in the bay behind the hill when the storm comes up?"


def stored(client: gimbal.Client, name: str, *questions: str) -> None:
    examples = [Example(id=f"q{at}", input={"question": text}) for at, text in enumerate(questions)]
    client.suites.create(name=name, examples=examples, scorers=["exact_match"])


def test_the_exit_code_says_whether_something_was_found(cli: Cli, client: gimbal.Client) -> None:
    stored(client, "seen/own", OWN)
    stored(client, "seen/other", OTHER)
    stored(client, "seen/copy", OTHER, OWN.upper())

    found = cli("suites", "contamination", "suite:seen/own", "--against", "suite:seen/copy")
    none = cli("suites", "contamination", "suite:seen/own", "--against", "suite:seen/other", "--json")
    wrong = cli("suites", "contamination", "suite:seen/absent")
    mistyped = cli("suites", "contamination", "suite:seen/own", "--threshold", "7")

    assert (found.code, none.code, wrong.code, mistyped.code) == (1, 0, 3, 3)
    assert found.out.startswith("suite:seen/own@v1")
    assert "/p/default/jobs/" in found.err
    assert "1 of 1 versions, 2 texts compared" in found.err
    assert none.err == ""
    assert "1 of 1 examples (100.0%)" in found.out
    assert "exact" in found.out
    assert json.loads(none.out)["findings"] == []


def test_examples_alike_in_different_clusters_are_told(cli: Cli, client: gimbal.Client) -> None:
    stored(client, "seen/twice", OWN, OTHER, OWN + "!")

    told = cli("suites", "contamination", "suite:seen/twice", "--against", "suite:seen/twice")

    assert told.code == 1
    assert "one cluster would be right, not 2: q0, q2" in told.err


def test_a_model_that_answers_prose_writes_no_suite(cli: Cli, tmp_path: Path) -> None:
    """The job ends, and says that nothing of the answers could be read; a dry one says that it is free."""
    guide = tmp_path / "guide.md"
    guide.write_text("The pump in the cellar needs seven litres of oil.")
    words = ("suites", "synthesise", str(guide), "--name", "cli/written", "--model", "local/extractive")

    dry = cli(*words, "--dry")
    done = cli(*words)
    guide.write_bytes(b"\xff\xfe\x00")
    unread = cli(*words)

    assert (dry.code, dry.out) == (0, "")
    assert "1 passage, up to 2 examples, free" in dry.err
    assert done.code == 0, done.err
    assert done.out.startswith("nothing is stored: 0 examples")
    assert "dropped: 1 unparseable" in done.err
    assert unread.code == 1
    assert "is not UTF-8" in unread.err
