"""`gimbal eval run --target python:…` and `gimbal eval import`: functions of a folder, and results of other tools."""

import json
import zipfile
from pathlib import Path

import pytest
from bench.bar import Running
from tests.faces.cli.conftest import Cli

import gimbal
from gimbal.axis.evals.model import Example
from gimbal.kernel.ids import new_id

CODE = """
def good(question):
    return "word" + question

def bad(question):
    return "no idea"

number = 3
"""


@pytest.fixture
def asked(up: Running) -> str:
    """Store a suite of 60 examples."""
    name = f"cli/t{new_id()[-10:]}"
    rows = [Example(id=f"q{i}", input={"question": str(i)}, expected={"answer": f"word{i}"}) for i in range(60)]
    with gimbal.Client(up.url) as client:
        client.suites.create(name=name, examples=rows, scorers=["exact_match"])
    return f"suite:{name}"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module of functions into the folder that the command runs in."""
    name = f"shop_{new_id()[-8:]}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "help.py").write_text(CODE)
    (tmp_path / "broken_module.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"{name}.help"


def test_functions_of_the_folder_are_compared(cli: Cli, asked: str, module: str) -> None:
    """The exit code is the verdict, as of versions."""
    words = ("eval", "run", asked, "--concurrency", "16")
    better = cli(*words, "--target", f"python:{module}:good", "--against", f"python:{module}:bad")
    worse = cli(*words, "--target", f"python:{module}:bad", "--against", f"function:{module.replace('.', '/')}/good")
    plain = json.loads(cli(*words, "--target", f"python:{module}:good", "--json").out)

    assert (better.code, worse.code) == (0, 3), (better.err, worse.err)
    assert f"function:{module.replace('.', '/')}/good@v1 is better than" in better.out
    assert "60 of 60" in better.err
    assert "'function'" in worse.err
    assert (plain["status"], plain["done"], plain["client"]) == ("done", 60, "gimbal for Python")


def test_what_cannot_be_called_is_told_before_anything_is_asked(cli: Cli, asked: str, module: str, up: Running) -> None:
    for target, told in (
        ("python:", "names no function"),
        (f"python:{module}", "names no function"),
        ("python:no.such.module:f", "There is no module 'no.such.module'"),
        (f"python:{module}:lost", "has no 'lost'"),
        (f"python:{module}:number", "cannot be called"),
        ("python:broken_module:f", "cannot be imported: SystemExit: 3"),
    ):
        found = cli("eval", "run", asked, "--target", target)
        assert found.code == 3, target
        assert told in " ".join(found.err.split()), target
    capped = cli("eval", "run", asked, "--target", f"python:{module}:good", "--max-cost", "1")
    resumed = cli("eval", "run", asked, "--target", "prompt:x/y", "--resume", "abc")
    nowhere = cli("eval", "run", asked, "--target", f"python:{module}:good", "--junit", "no/such/folder/junit.xml")
    with gimbal.Client(up.url) as client:
        runs = client.evaluations.list(suite=asked).items

    assert (capped.code, resumed.code, nowhere.code) == (3, 3, 3)
    assert "There is no folder no/such/folder." in " ".join(nowhere.err.split())
    assert "--max-cost" in capped.err
    assert "evaluations resume abc" in " ".join(resumed.err.split())
    assert runs == []


def test_a_report_that_cannot_be_written_is_an_error_and_no_verdict(
    cli: Cli, asked: str, module: str, tmp_path: Path
) -> None:
    """1 would say that the version is worse."""
    found = cli("eval", "run", asked, "--target", f"python:{module}:good", "--markdown", str(tmp_path))

    assert found.code == 3
    assert str(tmp_path) in found.err.replace("\n", "")
    assert "exact_match" in found.out


def promptfoo(tmp_path: Path) -> Path:
    rows = [
        {
            "promptIdx": 0,
            "testIdx": test,
            "provider": {"id": provider},
            "vars": {"question": str(test)},
            "testCase": {"vars": {"question": str(test)}, "assert": [{"type": "equals", "value": f"word{test}"}]},
            "response": {"output": f"word{test}", "tokenUsage": {"prompt": 5, "completion": 2}},
            "score": 1,
            "namedScores": {"polite": 0.5},
            "latencyMs": 120,
            "cost": 0.01,
            "success": True,
            "failureReason": 0,
        }
        for provider in ("openai:gpt-5-mini", "echo")
        for test in range(3)
    ]
    rows[1] |= {"response": {"error": "429"}, "error": "429", "failureReason": 2, "score": 0}
    rows[2] |= {"response": {"output": "wrong"}, "error": "Expected word2", "failureReason": 1, "score": 0}
    path = tmp_path / f"r{new_id()[-10:]}.json"
    path.write_text(json.dumps({"evalId": "e", "results": {"version": 3, "results": rows}, "config": {}}))
    return path


def test_results_of_promptfoo_become_evaluations(cli: Cli, up: Running, tmp_path: Path) -> None:
    """One for each provider, judged by our scorers, with promptfoo's own scores, costs and failures."""
    path = promptfoo(tmp_path)
    found = cli("eval", "import", str(path), "--json")
    runs = json.loads(found.out)
    again = json.loads(cli("eval", "import", str(path), "--suite", runs[0]["suite"]["name"], "--json").out)
    with gimbal.Client(up.url) as client:
        rows = client.evaluations.results(runs[0]["id"]).items
        comparison = client.evaluations.compare(runs[0]["id"], to=runs[1]["id"])

    assert found.code == 0, found.err
    assert [run["subject"]["name"] for run in runs] == ["promptfoo/openai-gpt-5-mini", "promptfoo/echo"]
    assert [run["status"] for run in runs] == ["done", "done"]
    ours, score, polite = runs[0]["summaries"]
    assert (ours["scorer"], ours["estimate"]["value"], ours["missing"]) == ("exact", 0.5, {"error": 1})
    assert (score["scorer"], score["estimate"]["value"]) == ("promptfoo/score", 0.5)
    assert (polite["scorer"], polite["estimate"]["value"]) == ("promptfoo/polite", 0.5)
    assert (rows[0].latency_ms, str(rows[0].cost), rows[0].input_tokens) == (120.0, "0.01", 5)
    assert [row.error for row in rows] == ["", "429", ""]
    assert comparison.scorers[0].paired == 2
    assert again[0]["suite"] == runs[0]["suite"]


def test_a_log_of_inspect_becomes_an_evaluation(cli: Cli, tmp_path: Path) -> None:
    """Its epochs are repeats; what a sample said is judged by what --scorer names."""
    path = tmp_path / f"l{new_id()[-10:]}.eval"
    with zipfile.ZipFile(path, "w") as archive:
        header = {
            "version": 2,
            "status": "success",
            "eval": {"task": "sums", "model": "openai/gpt", "config": {"epochs": 2}},
        }
        archive.writestr("header.json", json.dumps(header))
        for number in range(2):
            for epoch in (1, 2):
                sample = {
                    "id": number, "epoch": epoch, "input": "1 + 1", "target": "2",
                    "output": {"completion": "2" if epoch == 1 else "3"}, "scores": {"judge": {"value": "C"}},
                }  # fmt: skip
                archive.writestr(f"samples/{number}_epoch_{epoch}.json", json.dumps(sample))
    silent = cli("eval", "import", str(path))
    words = ("eval", "import", str(path), "--scorer", "exact_match", "--subject", "models/gpt", "--json")
    found, wrong = cli(*words, "--max-cost", "1"), cli(*words, "--max-cost", "-1")
    (run,) = json.loads(found.out)

    assert silent.code == 3
    assert "--scorer" in silent.err
    assert (run["subject"]["name"], run["repeats"], run["done"]) == ("models/gpt", 2, 4)
    assert run["options"]["max_cost"] == "1"
    assert (wrong.code, "A cap is an amount from 0" in wrong.err) == (3, True)
    assert [row["scorer"] for row in run["summaries"]] == ["exact_match", "inspect/judge"]
    assert [row["estimate"]["value"] for row in run["summaries"]] == [0.5, 1.0]


def test_files_without_answers_are_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "input": {"question": "x"}}\n')
    found = cli("eval", "import", str(path))

    assert found.code == 3
    assert "have no answers" in found.err
