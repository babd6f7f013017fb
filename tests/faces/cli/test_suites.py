"""`gimbal suites import` and `export` against a real server: what is stored, told, written, and refused."""

import json
from pathlib import Path

import pytest

import gimbal

from .conftest import Cli

ROWS = '{"id":"a","input":{"question":"x"},"expected":{"answer":"y"}}\n{"id":"b","input":{"question":"z"}}\n'


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Write two examples as Gimbal writes them."""
    path = tmp_path / "rows.jsonl"
    path.write_text(ROWS)
    return path


def test_a_suite_comes_from_a_file_and_goes_back_into_one(cli: Cli, client: gimbal.Client, rows: Path) -> None:
    """The same file again is the same version; what is written is what was read, byte for byte."""
    words = ("suites", "import", str(rows), "--name", "cli/rows", "--scorer", "exact_match")
    made = cli(*words)
    again = cli(*words, "--json")
    back = rows.with_name("back.jsonl")

    assert (made.code, made.out) == (0, "suite:cli/rows@v1: 2 examples, exact_match\n")
    assert json.loads(again.out)["ref"] == "suite:cli/rows@v1"
    assert [e.id for e in client.suites.examples("suite:cli/rows")] == ["a", "b"]
    assert cli("suites", "export", "suite:cli/rows", "--out", str(back)).code == 0
    assert back.read_text() == ROWS
    table = rows.with_name("back.parquet")
    assert cli("suites", "export", "suite:cli/rows@v1", "--out", str(table)).code == 0
    third = cli("suites", "import", str(table), "--name", "cli/rows", "--scorer", "exact_match")
    assert third.out.startswith("suite:cli/rows@v1:")


def test_notes_prompts_and_answers_are_told_and_written(alone: Cli, tmp_path: Path) -> None:
    """With `--dry-run` nothing is stored, and no server is asked."""
    config = {
        "prompts": ["Say {{q}}"], "providers": ["openai:gpt-5-mini"],
        "tests": [{"vars": {"q": "x"}, "assert": [{"type": "python", "value": "1"}, {"type": "contains", "value": "x"}]}],
    }  # fmt: skip
    sample = {
        "doc_id": 0, "doc": {}, "target": "4", "arguments": {"gen_args_0": {"arg_0": "2+2", "arg_1": {}}},
        "resps": [["4"]], "filtered_resps": ["4"], "metrics": ["em"], "em": 1.0,
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(config))
    (tmp_path / "samples_t.jsonl").write_text(json.dumps(sample))
    files = (str(tmp_path / "c.json"), str(tmp_path / "samples_t.jsonl"))

    told = alone("suites", "import", *files, "--name", "x", "--dry-run")
    assert told.out == "nothing is stored: 2 examples, contains, exact_match\n"
    assert "`python`: it is code" in told.err
    assert "--prompts FOLDER" in told.err
    assert "--results FILE" in told.err

    written = ("--prompts", str(tmp_path / "p"), "--results", str(tmp_path / "r.jsonl"))
    assert alone("suites", "import", *files, "--name", "x", "--dry-run", *written).code == 0
    assert (tmp_path / "p" / "prompt-1.md").read_text().endswith("## user\nSay {{q}}\n")
    assert json.loads((tmp_path / "r.jsonl").read_text())["scores"] == {"em": 1.0}
    (tmp_path / "p" / "prompt-1.md").write_text("mine")
    refused = alone("suites", "import", *files, "--name", "x", "--dry-run", *written)
    assert (refused.code, (tmp_path / "p" / "prompt-1.md").read_text()) == (1, "mine")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rows.jsonl",), "do not say how answers are judged"),
        (("rows.jsonl", "--scorer", "none"), "no 'none' among the scorers"),
        (("none.jsonl", "--scorer", "exact_match"), "There is no file"),
        (("rows.jsonl", "--column", "x", "--scorer", "exact_match"), "MEANING=COLUMN"),
        (("rows.jsonl", "--format", "docx", "--scorer", "exact_match"), "no 'docx' among the suite formats"),
        (("--scorer", "exact_match"), "no file to read"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    cli: Cli, rows: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    """With what to do."""
    monkeypatch.chdir(rows.parent)
    refused = cli("suites", "import", *words, "--name", "cli/refused")

    assert refused.code == 1
    assert told in " ".join(refused.err.split())


def test_what_a_file_says_is_stored(cli: Cli, client: gimbal.Client, tmp_path: Path) -> None:
    """Its scorers, and how often each example is asked."""
    text = "evaluateOptions: {repeat: 2}\nprompts: []\ntests: [{vars: {q: x}, assert: [{type: contains, value: y}]}]\n"
    (tmp_path / "c.yaml").write_text(text)

    assert cli("suites", "import", str(tmp_path / "c.yaml"), "--name", "cli/foo").code == 0
    manifest = client.assets.show("suite:cli/foo").manifest
    assert manifest["scorers"] == ["contains"]
    assert manifest["repeats"] == 2
