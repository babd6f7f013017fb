"""Commands against a real server: what they print, what they send, and how they fail."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.bar import Running, free_port
from tests.links import Answer, scripted

import gimbal
from gimbal.axis.runs.model import LogMetric
from gimbal.kernel.errors import Busy

from .conftest import Cli

GIMBAL = [sys.executable, "-m", "gimbal"]


def test_runs_are_listed_within_the_width_and_found_again(cli: Cli, client: gimbal.Client) -> None:
    """Ids are whole, to be copied into the next command; how long ago is said where there is no room for the time."""
    ids = [client.runs.create(name=f"a name of some length {i}", experiment="cli-list").id for i in range(3)]
    client.runs.log(ids[0], metrics=[LogMetric(name="auc", value=0.8123456)], params={"depth": 3})

    listed = cli("runs", "list", "--experiment", "cli-list")

    assert listed.code == 0
    assert [line.split()[0] for line in listed.lines[1:4]] == ids[::-1]
    assert max(map(len, listed.lines)) <= 80
    assert "just now" in listed.out
    shown = cli("runs", "show", ids[0])
    assert shown.code == 0
    for part in (f"id          {ids[0]}", "status      running", "params\n  depth  3", "metrics\n  auc  0.812346"):
        assert part in shown.out
    assert "started at  2" in shown.out
    assert " UTC, " in shown.out


def test_without_a_terminal_rows_are_whole(cli: Cli, client: gimbal.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """`gimbal runs list | grep` finds what is there: nothing is cut, remarks go to standard error."""
    name = "a name that is a good deal longer than any column of a narrow terminal could ever be"
    for _ in range(2):
        client.runs.create(name=name, experiment="cli-pipe")
    monkeypatch.delenv("COLUMNS")

    listed = cli("runs", "list", "--experiment", "cli-pipe", "--limit", "1")

    assert name in listed.out
    assert "started (UTC)" in listed.lines[0]
    assert len(listed.lines) == 2
    cursor = listed.err.split()[-1]
    assert listed.err.startswith("there are more: --cursor ")
    rest = cli("runs", "list", "--experiment", "cli-pipe", "--limit", "1", "--cursor", cursor)
    assert (len(rest.lines), rest.err) == (2, "")
    none = cli("runs", "list", "--experiment", "cli-none")
    assert (none.code, none.out, none.err) == (0, "", "nothing found\n")


def test_json_is_what_the_server_said(cli: Cli, client: gimbal.Client) -> None:
    """For lists, records and what returns nothing."""
    run = client.runs.create(name="\x1b[31mred", experiment="cli-json")

    listed = json.loads(cli("runs", "list", "--experiment", "cli-json", "--json").out)
    assert [item["id"] for item in listed["items"]] == [run.id]
    assert json.loads(cli("runs", "show", run.id, "--json").out)["name"] == "\x1b[31mred"
    assert "\x1b" not in cli("runs", "show", run.id).out, "another's name does not steer this terminal"
    assert (cli("projects", "create", "--slug", "cli-json").code, cli("members", "list", "--json").out) == (0, "[]\n")


def test_an_asset_is_shown(cli: Cli, client: gimbal.Client) -> None:
    """With its manifest indented, and its versions as a table."""
    manifest: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi {{name}}"}], "model": "local/extractive"}
    manifest["variables"] = ["name"]
    client.assets.add("prompt:cli/hello", manifest=manifest, note="first")

    shown = cli("assets", "show", "prompt:cli/hello")

    assert shown.code == 0
    assert "name        cli/hello" in shown.out
    assert "    role  content\n    user  Hi {{name}}" in shown.out
    assert max(map(len, shown.lines)) <= 80
    versions = cli("assets", "versions", "prompt:cli/hello")
    assert versions.lines[0].split()[:2] == ["number", "created"]
    assert versions.lines[1].split()[0] == "1"


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("assets show model:no/such", "not_found", "There is no model:no/such"),
        ("assets show nonsense", "bad_input", "does not say its kind"),
        ("assets show Model:Bad@@", "bad_input", "is not a kind"),
        ("runs show not-an-id", "not_found", "There is no run not-an-id"),
        ("runs list --status nosuch", "bad_input", "'nosuch' is not a status"),
        ("runs list --limit 0", "bad_input", "limit"),
        ("runs list --cursor forged", "bad_input", "cursor"),
        ("runs list --project nowhere", "not_found", "nowhere"),
        ("runs log some --metrics {broken", "bad_input", "--metrics is not JSON"),
        ("runs log some --metrics @missing.json", "bad_input", "missing.json: No such file"),
        ("runs log some --params 5", "bad_input", "object"),
        ("blobs put missing.bin", "bad_input", "There is no file missing.bin"),
        ("blobs put .", "bad_input", "There is no file ."),
        ("prompts sync missing", "bad_input", "missing is not a folder"),
        ("restore missing", "configuration", "missing is not a backup"),
    ],
)
def test_a_refusal_ends_with_one_and_says_what_to_do(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: str, says: str
) -> None:
    """On standard error, with the code of the error and a hint, and never a traceback."""
    monkeypatch.chdir(tmp_path)
    done = cli(*line.split())

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert says in done.err
    assert f"[{code}]" in done.err
    assert "to do: " in done.err


def test_no_server_says_what_to_start(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a wrong address or key is named before anything is sent."""
    port = free_port()
    monkeypatch.setenv("GIMBAL_URL", f"http://127.0.0.1:{port}")
    away = alone("runs", "list")
    assert away.code == 1
    assert f"error: Gimbal does not answer at http://127.0.0.1:{port}.  [unavailable]" in away.err
    assert "to do: Start it with `gimbal up`, or set GIMBAL_URL to where it runs." in away.err

    monkeypatch.setenv("GIMBAL_URL", "localhost:8765")
    assert "Write it like http://127.0.0.1:8765" in alone("runs", "list").err


def test_a_wrong_key_is_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the server, in its words."""
    monkeypatch.setenv("GIMBAL_API_KEY", "gk_nobody-has-this")
    done = cli("runs", "list")

    assert done.code == 1
    assert "[not_authenticated]" in done.err


def test_json_arguments_come_from_words_files_and_standard_input(
    cli: Cli, client: gimbal.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the help says."""
    run = client.runs.create(name="json arguments")
    points = tmp_path / "points.json"
    points.write_text('[{"name": "loss", "value": 0.5, "step": 2}]')
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"team": "blau ✓"}'))

    done = cli("runs", "log", run.id, "--params", '{"depth": 3}', "--metrics", f"@{points}", "--tags", "@-", "--json")

    assert json.loads(done.out) == {"params": 1, "tags": 1, "metrics": 1, "inputs": []}
    kept = client.runs.show(run.id)
    assert (kept.params, kept.tags, kept.metrics) == ({"depth": 3}, {"team": "blau ✓"}, {"loss": 0.5})


def test_files_go_up_and_come_down(cli: Cli, client: gimbal.Client, tmp_path: Path) -> None:
    """To a file, or to standard output; a download that fails leaves no file."""
    run = client.runs.create(name="files")
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("Grüße\n")

    put = cli("runs", "artifact-put", run.id, "notes/a.txt", str(source))
    assert put.code == 0
    assert "text/plain" in put.out
    assert "size        8 B" in put.out
    got = cli("runs", "artifact", run.id, "notes/a.txt", "--output", str(target))
    assert (got.code, got.out, got.err) == (0, "", f"8 B written to {target}\n")
    assert target.read_text() == "Grüße\n"

    missing = cli("runs", "artifact", run.id, "nothing.txt", "--output", str(tmp_path / "never.txt"))
    assert missing.code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.txt"]
    nowhere = cli("runs", "artifact", run.id, "notes/a.txt", "--output", str(tmp_path / "no" / "folder"))
    assert nowhere.code == 1
    assert "No such file or directory" in nowhere.err
    printed = subprocess.run(
        [*GIMBAL, "runs", "artifact", run.id, "notes/a.txt"],
        env=os.environ | {"GIMBAL_URL": client.transport.url},
        capture_output=True,
        check=True,
    )
    assert printed.stdout.decode() == "Grüße\n"


def test_whoever_reads_only_the_first_lines_gets_no_error(up: Running, client: gimbal.Client) -> None:
    """`gimbal runs list | head -1`."""
    for _ in range(40):
        client.runs.create(name="long " * 40, experiment="cli-head")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*GIMBAL, "runs", "list", "--experiment", "cli-head"],
        env=os.environ | {"GIMBAL_URL": up.url},
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    os.close(reader)
    _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, b"")


def test_the_log_is_verified_and_a_forged_one_ends_with_one(
    cli: Cli, client: gimbal.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts see by the exit code that the chain does not hold, or that a gate refused."""
    client.keys.create(name="for the log")
    sound = cli("audit", "verify")
    assert sound.code == 0
    assert sound.out.startswith("sound    yes\n")

    with scripted(Answer(200, b'{"sound": false, "records": 3, "problem": "record 2 was changed"}')) as port:
        monkeypatch.setenv("GIMBAL_URL", port.url)
        forged = cli("audit", "verify")
    assert forged.code == 1
    assert "record 2 was changed" in forged.out

    with scripted(Answer(200, b'{"id": "d", "verdict": "refused"}')) as port:
        monkeypatch.setenv("GIMBAL_URL", port.url)
        refused = cli("gates", "promote", "--candidate", "model:a@v1", "--alias", "production", "--json")
    assert refused.code == 1
    assert json.loads(refused.out)["verdict"] == "refused"


def test_errors_show_where_and_what_was_kept(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each part that the server gave."""
    problem = Busy("Too much.", where="writer", kept="half of it", todo="Come again.")
    with scripted(Answer(422, problem.as_json())) as port:
        monkeypatch.setenv("GIMBAL_URL", port.url)
        done = alone("runs", "list")

    assert done.err.splitlines() == [
        "error: Too much.  [busy]",
        "where: writer",
        " kept: half of it",
        "to do: Come again.",
    ]


PROMPT = '+++\nmodel = "local/extractive"\n+++\n\n## user\nAnswer {{question}}.\n'


def test_prompts_are_synced_from_a_folder(cli: Cli, client: gimbal.Client, tmp_path: Path) -> None:
    """Twice changes nothing; a file that is no prompt is named and then nothing is written."""
    folder = tmp_path / "prompts"
    (folder / "clisync").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.md").write_text("not a prompt")
    assert "There is no .md file" in cli("prompts", "sync", str(folder)).err
    (folder / "clisync" / "one.md").write_text(PROMPT)
    (folder / "clisync" / "another.md").write_text(PROMPT)

    first = cli("prompts", "sync", str(folder), "--note", "4f2a")
    again = cli("prompts", "sync", str(folder))
    told = json.loads(cli("prompts", "sync", str(folder), "--json").out)

    assert first.lines == [
        "created    prompt:clisync/another@v1  clisync/another.md",
        "created    prompt:clisync/one@v1      clisync/one.md",
        "2 created, 0 unchanged",
    ]
    assert again.lines[-1] == "0 created, 2 unchanged"
    assert (told["created"], told["unchanged"]) == (0, 2)
    assert client.assets.show("prompt:clisync/one").note == "4f2a"

    (folder / "clisync" / "one.md").write_text(PROMPT.replace("Answer", "Reply to"))
    (folder / "clisync" / "broken.md").write_text("no front matter")
    broken = cli("prompts", "sync", str(folder))
    assert broken.code == 1
    assert "clisync/broken.md" in broken.err
    assert client.assets.show("prompt:clisync/one").number == 1
    (folder / "clisync" / "broken.md").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in cli("prompts", "sync", str(folder)).err
