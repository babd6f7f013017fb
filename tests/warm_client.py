"""A Python that has imported MLflow's client and runs scripts in processes forked from it: importing takes seconds.

It is started by `tests.mlflow_clients` with the Python that has the client, and stands alone: nothing of ours is imported.
Each line that comes is one script with what it is given; two lines go back, its process and how that ended.
"""

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import mlflow  # noqa: F401 - what takes so long


def become(job: dict[str, Any]) -> None:
    """Make of this process what one that was started for the script alone would be."""
    for number, (name, flags) in enumerate(
        ((os.devnull, os.O_RDONLY), (job["out"], os.O_WRONLY), (job["err"], os.O_WRONLY))
    ):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.argv = job["words"]
    sys.path[0] = str(Path(job["words"][0]).parent)


def serve() -> str | None:
    """Fork for each script; return its path in the process that is to run it, and None when no more will come."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            answers.close()
            job = json.loads(line)
            become(job)
            return job["words"][0]
        print(child, file=answers)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers)
    return None


if script := serve():
    runpy.run_path(script, run_name="__main__")
