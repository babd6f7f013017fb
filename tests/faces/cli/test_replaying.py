"""`gimbal replay`: what it would ask and cost first, then the candidate beside what was answered."""

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from bench.bar import Running
from tests.faces.cli.conftest import Cli

import gimbal
from gimbal.faces.cli.replaying import moment
from gimbal.generative.prompts.model import PromptFile
from gimbal.kernel.errors import BadInput
from gimbal.kernel.ids import new_id

PROMPT = """+++
model = "local/extractive"
+++

## user
[1] pages.md — Numbers
The number of page {{page}} is {{page}}.

Question: What is the number of page {{page}}?
"""
CALLS = 30


@pytest.fixture(scope="module")
def prompt(up: Running) -> str:
    """Give a prompt with two versions of which the first was called 30 times; the second does not say what it is asked."""
    name = f"t{new_id()[-8:]}/count"
    with gimbal.Client(up.url) as client:
        client.prompts.sync(files=[PromptFile(path=f"{name}.md", text=PROMPT)])
        with httpx.Client(base_url=up.url) as http:
            for page in range(CALLS):
                body = {"model": f"prompt:{name}@v1", "messages": [], "variables": {"page": page}}
                http.post("/v1/chat/completions", json=body).raise_for_status()
        worse = PROMPT.replace("is {{page}}.", "is written on it.")
        client.prompts.sync(files=[PromptFile(path=f"{name}.md", text=worse)])
    return f"prompt:{name}"


def test_a_plan_asks_nothing(cli: Cli, prompt: str) -> None:
    """It says how many calls, of whom, and what they would cost; also as JSON."""
    ran = cli("replay", "--candidate", f"{prompt}@v2", "--since", "1h", "--plan")
    assert (ran.code, ran.out) == (0, "")
    assert f"{CALLS} captured calls" in ran.err
    assert f"answered by {prompt}@v1 ({CALLS})" in ran.err
    told = json.loads(cli("replay", "--candidate", f"{prompt}@v2", "--sample", "7", "--plan", "--json").out)
    assert (told["calls"], float(told["cost"])) == (7, 0)


def test_both_sides_are_judged_and_compared(cli: Cli, prompt: str, tmp_path: Path) -> None:
    """The exit code is the verdict; named scorers decide it, and reports are written."""
    words = ("replay", "--candidate", f"{prompt}@v2", "--since", "1h", "--concurrency", "16", "--margin", "0.3")
    junit, summary = tmp_path / "r.xml", tmp_path / "r.md"
    same = cli(*words, "--junit", str(junit), "--markdown", str(summary))
    assert same.code == 0, same.err
    assert f"{prompt}@v2 is equivalent to {prompt}@v1" in same.out
    assert junit.exists()
    assert "Equivalent" in summary.read_text()

    pattern = json.dumps({"scorer": "length_within", "params": {"most": 1}})
    told = json.loads(cli(*words, "--scorer", "readability", "--scorer", "refusal", "--json").out)
    assert [row["scorer"] for row in told["scorers"]] == ["readability", "refusal"]
    assert told["before"]["subject"]["number"] == 1
    bad = cli(*words, "--scorer", pattern.replace("most", "nobody"))
    assert bad.code == 3
    assert "nobody" in bad.err


def test_what_cannot_be_done_is_told(cli: Cli, prompt: str) -> None:
    """A time that is none, a candidate that is not there, nobody who called."""
    assert cli("replay", "--candidate", f"{prompt}@v2", "--since", "yesterday").code == 3
    assert cli("replay", "--candidate", "prompt:none@v1").code == 3
    ran = cli("replay", "--candidate", f"{prompt}@v2", "--until", "2020-01-01", "--since", "2019-01-01")
    assert ran.code == 3
    assert "can be asked again" in ran.err
    assert cli("replay", "--candidate", f"{prompt}@v2", "--scorer", "{no json").code == 3


def test_times_are_written_as_people_do() -> None:
    """As how long ago, or as a time; a time without a place is that of here."""
    now = datetime(2026, 5, 3, 12, tzinfo=UTC)
    assert moment("24h", now, "x") == datetime(2026, 5, 2, 12, tzinfo=UTC)
    assert moment("1.5h", now, "x") == moment("90min", now, "x") == moment("90m", now, "x")
    assert moment("2w", now, "x") == datetime(2026, 4, 19, 12, tzinfo=UTC)
    assert moment("2026-05-01T10:00Z", now, "x") == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert moment("2026-05-01", now, "x").tzinfo is not None
    for text in ("", "h", "-1h", "1y", "999999w", "2026-13-01", "0001-01-01"):
        with pytest.raises(BadInput, match="is no time"):
            moment(text, now, "x")
