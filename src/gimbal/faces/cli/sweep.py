"""`gimbal sweep sweep.yaml`: a search for good parameters, with a table that grows as trials end."""

import importlib
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gimbal.faces.cli import show


def sweep(
    file: Annotated[Path, Parameter(help="What to search: YAML, or a Python file with a `sweep` in it.")],
    *,
    on: Annotated[Literal["local", "ray"], Parameter(help="Where trials run.")] = "local",
    trials: Annotated[int | None, Parameter(help="How many at most, instead of the file's.")] = None,
    concurrency: Annotated[int | None, Parameter(help="How many at once, instead of the file's.")] = None,
    name: Annotated[str | None, Parameter(help="Name of the study, instead of the file's.")] = None,
    project: Annotated[str | None, Parameter(help="Project; GIMBAL_PROJECT, or default, otherwise.")] = None,
) -> None:
    """Search for good parameters: run trials, each a run, and keep the study on the server.

    Ctrl-C, or a signal to end, stops the trials that run and keeps what is done; a second one waits for nothing. A sweep of
    the same name goes on where the last one ended, also after it was killed. Exit codes: 0 when there is a trial that succeeded, 1 when there is none.
    """
    from gimbal.faces.client.client import Client
    from gimbal.faces.client.sweep import spec

    given = {"trials": trials, "concurrency": concurrency, "name": name}
    wanted = spec.read(file, **{word: value for word, value in given.items() if value is not None})
    try:
        searching: Any = importlib.import_module("gimbal.faces.client.sweep.searching")
    except ImportError:
        raise spec.hint("A sweep needs Optuna.") from None
    from gimbal.faces.client.sweep import process

    if wanted.words and on == "local":
        process.check_command(wanted.words)
    if on == "ray":
        from gimbal.faces.client.sweep.on_ray import RayRunner

        runner: Any = RayRunner()
    else:
        runner = searching.LocalRunner()
    client = Client(project=project)
    table = _Table(wanted)
    search = searching.Search(wanted, client, runner, table.row)
    show.line(f"The study {wanted.name!r}: {client.transport.url}/p/{client.project}/studies/{search.number}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Not where it is ignored, as under nohup.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupted)
    try:
        search.run()
    except KeyboardInterrupt:
        show.line("Stopped; what is done is kept. The same command goes on.", style="yellow")
        raise
    finally:
        found = searching.best(search.study)
        for trial in found[:10]:
            table.best(trial)
    raise SystemExit(0 if found else 1)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Stop as Ctrl-C does: trials are in sessions of their own, and would go on."""
    raise KeyboardInterrupt


class _Table:
    """A line for each trial that has ended."""

    def __init__(self, wanted: Any) -> None:
        self._metrics = wanted.metrics
        self._names = list(wanted.space)

    def row(self, trial: Any, why: str) -> None:
        """Write how a trial ended."""
        state = trial.state.name.lower()
        values = "  ".join(
            f"{name} {value:.6g}" for name, value in zip(self._metrics, trial.values or [], strict=False)
        )
        style = {"complete": "green", "pruned": "yellow"}.get(state, "red")
        took = f"{trial.duration.total_seconds():.1f} s" if trial.duration else ""
        reason, _, said = why.partition(": ")
        words = f"{trial.number:>5}  {state:<9} {values or reason:<28} {took:>9}  {self._params(trial)}"
        show.line(words.rstrip(), style=style)
        if said:
            show.line(f"{'':>5}  {said}", style=style)

    def best(self, trial: Any) -> None:
        """Write one of the best."""
        values = ", ".join(f"{name} {value:.6g}" for name, value in zip(self._metrics, trial.values, strict=False))
        show.line(f"best: trial {trial.number}, {values}, with {self._params(trial)}", style="bold")

    def _params(self, trial: Any) -> str:
        return "  ".join(f"{name}={_short(trial.params[name])}" for name in self._names if name in trial.params)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
