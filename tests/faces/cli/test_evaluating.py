"""`gimbal eval run`: what it will cost first, then the verdict, which is the exit code."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench.bar import Running
from tests.faces.cli.conftest import Cli

import gimbal
from gimbal.axis.evals.model import Example
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.generative.prompts.model import PromptFile
from gimbal.kernel.ids import new_id

PROMPT = """+++
model = "local/extractive"
+++

## user
{{context}}

Question: {{question}}
"""


class Place:
    """A suite of 120 examples and two prompts: one that sees the facts, one that does not."""

    def __init__(self, client: gimbal.Client) -> None:
        name = f"t{new_id()[-8:]}"
        self.suite, self.good, self.bad = f"suite:{name}", f"prompt:{name}/good", f"prompt:{name}/bad"
        blind = PROMPT.replace("{{context}}", "[1] pages.md — Numbers\nNobody counts the pages.")
        files = [PromptFile(path=f"{name}/good.md", text=PROMPT), PromptFile(path=f"{name}/bad.md", text=blind)]
        client.prompts.sync(files=files)
        examples = [
            Example(
                id=f"q{i}",
                input={
                    "context": f"[1] pages.md — Numbers\nThe number of page {i} is {i}.",
                    "question": f"What is the number of page {i}?",
                },
                expected={"answer": f"The number of page {i} is {i}."},
            )
            for i in range(120)
        ]
        client.suites.create(name=name, examples=examples, scorers=["exact_match"])


@pytest.fixture(scope="module")
def place(up: Running) -> Place:
    with gimbal.Client(up.url) as client:
        return Place(client)


def test_an_alias_is_named_beside_the_version_that_it_stands_for(cli: Cli, place: Place, up: Running) -> None:
    """Before it is asked, in the verdict, and on the run."""
    with gimbal.Client(up.url) as client:
        client.assets.move_alias(place.good, "production", to="v1")
        words = ("eval", "run", place.suite, "--margin", "0.05", "--target", f"{place.good}@production")
        alone = cli(*words)
        both = cli(*words, "--against", f"{place.good}@v1")
        runs = client.evaluations.list(subject=f"{place.good}@v1").items

    said = f"{place.good}@v1 (asked as {place.good}@production)"
    assert [alone.code, both.code] == [0, 0], (alone.out, both.out)
    assert f"{said}: 120 examples" in alone.err
    assert said in alone.out
    assert f"{said} is equivalent to {place.good}@v1." in both.out
    assert runs[-1].asked == f"{place.good}@production"


def test_the_exit_code_is_the_verdict(cli: Cli, place: Place, tmp_path: Path) -> None:
    """Better and equivalent are 0, worse is 1; the files for CI say the same."""
    junit, summary = tmp_path / "r.xml", tmp_path / "r.md"
    words = ("eval", "run", place.suite, "--concurrency", "16", "--margin", "0.05")
    better = cli(
        *words, "--target", place.good, "--against", place.bad, "--junit", str(junit), "--markdown", str(summary)
    )
    worse = cli(*words, "--target", place.bad, "--against", place.good)
    same = cli(*words, "--target", place.good, "--against", place.good)

    assert [better.code, worse.code, same.code] == [0, 1, 0], (better.out, worse.out, same.out)
    assert f"{place.good}@v1 is better than {place.bad}@v1." in better.out
    assert "is equivalent to" in same.out
    assert "120 examples, 120 calls, free" in better.err
    assert "A difference of" in better.err
    # Nothing is asked twice: what was evaluated before is compared as it is, and answers are known.
    assert "(120 answers are known)" in worse.err
    root = ET.fromstring(junit.read_text())
    assert len(root.findall(".//testcase")) == 120
    assert "better" in summary.read_text()


def test_judges_are_told_of_before_they_are_asked(cli: Cli, place: Place, up: Running) -> None:
    """How often and for how much: assumed before the first run, as in the newest after it."""
    name = f"{place.suite.removeprefix('suite:')}-judged"
    goals = ScorerSetting(scorer="goals", params={"check": "model", "model": "local/extractive"})
    rows = [
        Example(id=f"q{i}", input={"context": "[1] a b", "question": "a"}, expected={"goals": ["it is said", "so"]})
        for i in range(3)
    ]
    with gimbal.Client(up.url) as client:
        client.suites.create(name=name, examples=rows, scorers=[goals])
    words = ("eval", "run", f"suite:{name}", "--target")
    first, second = cli(*words, place.good), cli(*words, place.bad)

    assert "judged by local/extractive with about 6 calls, free (if answers are of usual length)" in first.err
    assert "calls, free (as in the newest run of this suite)" in second.err


def test_too_little_evidence_is_an_exit_code_of_its_own(cli: Cli, up: Running, place: Place) -> None:
    """Three examples cannot tell; and what goes wrong is 3, wrong usage too, because 2 means something else here."""
    with gimbal.Client(up.url) as client:
        rows = [
            Example(id=f"q{i}", input={"context": "[1] a b", "question": "a"}, expected={"answer": "a b"})
            for i in range(3)
        ]
        client.suites.create(name=f"{place.suite.removeprefix('suite:')}-few", examples=rows, scorers=["exact_match"])
    few = cli("eval", "run", f"{place.suite}-few", "--target", place.good, "--against", place.bad)
    lost = cli("eval", "run", f"{place.suite}-gone", "--target", place.good)
    wrong = cli("eval", "run", place.suite, "--nonsense")
    nothing = cli("eval", "run", place.suite)

    assert [few.code, lost.code, wrong.code, nothing.code] == [2, 3, 3, 3]
    assert "cannot" not in few.err
    assert "There is no" in lost.err
    assert "does not say what to call" in nothing.err


def test_without_another_version_the_scores_are_shown(cli: Cli, place: Place) -> None:
    plain = cli("eval", "run", place.suite, "--target", place.good)
    printed = json.loads(cli("eval", "run", place.suite, "--target", place.good, "--json").out)

    assert plain.code == 0, plain.err
    assert "exact_match" in plain.out
    assert printed["status"] == "done"
    assert printed["cached"] == 120
