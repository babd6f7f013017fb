"""The words and variables with which a trial is started."""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from gimbal.faces.client.client import Client
from gimbal.faces.client.sweep.process import Job
from gimbal.faces.client.sweep.spec import Sweep

_CHILD = "gimbal.faces.client.sweep.child"


def job_of(sweep: Sweep, client: Client, run_id: str, params: Mapping[str, Any]) -> Job:
    """Return what is run for a trial: its parameters are in the words, and with its run in the environment."""
    to = client.transport
    environment = {
        "GIMBAL_URL": to.url,
        "GIMBAL_PROJECT": to.project,
        # The first run that the program opens is the trial's.
        "GIMBAL_RUN_ID": run_id,
        "GIMBAL_TRIAL": json.dumps({"params": dict(params), "metrics": sweep.metrics}),
    } | ({"GIMBAL_API_KEY": to.key} if to.key else {})
    words = [sys.executable, "-m", _CHILD, sweep.function] if sweep.function else _filled(sweep.words, params)
    return Job(words=words, environment=environment, timeout=sweep.trial_s)


def _filled(words: list[str], params: Mapping[str, Any]) -> list[str]:
    texts = {name: _text(value) for name, value in params.items()}
    # All at once: what a value says is no placeholder.
    place = re.compile("|".join(re.escape("{" + name + "}") for name in texts))
    if not any(place.search(word) for word in words):
        return words + [part for name, text in texts.items() for part in (f"--{name}", text)]
    return [place.sub(lambda found: texts[found[0][1:-1]], word) for word in words]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
