"""The commands `gimbal import …`: choose the source, show progress, print the report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gimbal.faces.client.client import Client
from gimbal.faces.importing.carrier import Carrier
from gimbal.faces.importing.reading import shown
from gimbal.faces.importing.records import Source
from gimbal.faces.importing.registry import RegistryCarrier
from gimbal.faces.importing.report import Report
from gimbal.faces.importing.showing import moving, show_report
from gimbal.faces.importing.sources.neptune import Neptune
from gimbal.faces.importing.sources.opening import open_mlflow
from gimbal.faces.importing.sources.trackio import Trackio
from gimbal.faces.importing.sources.wandb import Wandb

_TIMEOUT_S = 120.0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Flags:
    """What every one of the commands may be told."""

    experiment: Annotated[
        list[str] | None, Parameter(help="Only this experiment; may be given several times.", negative="")
    ] = None
    project: Annotated[str | None, Parameter(help="Project to import into; GIMBAL_PROJECT or `default` otherwise.")] = (
        None
    )
    dry_run: Annotated[bool, Parameter(help="Show what would come, and change nothing.", negative="")] = False
    verify: Annotated[
        bool,
        Parameter(help="Compare counts and digests of both sides, and change nothing; 1 on a difference.", negative=""),
    ] = False
    no_artifacts: Annotated[bool, Parameter(help="Leave files out.", negative="")] = False
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON.", negative="")] = False

    @property
    def chosen(self) -> list[str]:
        """The experiments that are asked for; all of them when there is none."""
        return self.experiment or []

    @property
    def artifacts(self) -> bool:
        """Whether files come, too."""
        return not self.no_artifacts


_NONE = Flags()


def mlflow(
    source: Annotated[
        str, Parameter(help="http(s)://… of an MLflow server, a folder mlruns, sqlite:///mlflow.db or postgresql://….")
    ],
    *,
    flags: Flags = _NONE,
) -> None:
    """Import runs, logged models and registered models of MLflow.

    A second time changes nothing, and goes on where the first one broke off.
    """
    _run(lambda: open_mlflow(source, flags.chosen, artifacts=flags.artifacts), source, flags)


def wandb(
    folder: Annotated[Path, Parameter(help="Folder with runs of W&B's client (run-*, offline-run-*), or an export.")],
    *,
    follow_links: Annotated[
        bool, Parameter(help="Take the files that links lead to, as `wandb.save` leaves them.", negative="")
    ] = False,
    flags: Flags = _NONE,
) -> None:
    """Import runs of Weights & Biases from folders.

    Its project becomes the experiment. A second time changes nothing, and goes on where the first one broke off.
    """
    _run(lambda: Wandb(folder, flags.chosen, links=follow_links, artifacts=flags.artifacts), str(folder), flags)


def neptune(
    folder: Annotated[Path, Parameter(help="Folder that neptune-exporter wrote: its --data-path, or the one above.")],
    *,
    files: Annotated[
        Path | None, Parameter(help="Its --files-path, where that is not the folder files beside.")
    ] = None,
    flags: Flags = _NONE,
) -> None:
    """Import runs of Neptune from what its exporter wrote.

    Its project becomes the experiment. A second time changes nothing, and goes on where the first one broke off.
    """
    _run(lambda: Neptune(folder, files, flags.chosen, artifacts=flags.artifacts), str(folder), flags)


def trackio(
    place: Annotated[Path, Parameter(help="Trackio's folder, or the .db file of one project.")],
    *,
    flags: Flags = _NONE,
) -> None:
    """Import runs of Trackio from its SQLite files.

    Its project becomes the experiment. A second time changes nothing, and goes on where the first one broke off.
    """
    _run(lambda: Trackio(place, flags.chosen, artifacts=flags.artifacts), str(place), flags)


def _run(opened: Callable[[], Source], source: str, flags: Flags) -> None:
    report = Report()
    verb = "compare" if flags.verify else "look" if flags.dry_run else "bring"
    with Client(project=flags.project, timeout=_TIMEOUT_S) as client:
        given = opened()
        carrier = Carrier(client, given, report, files=flags.artifacts)
        models = RegistryCarrier(client, given, report, files=flags.artifacts)
        ended = False
        try:
            with moving(given.count(), report, verb) as moved:
                getattr(carrier, verb)(moved)
                getattr(models, verb)()
            ended = True
        finally:
            show_report(report, shown(source), client.project, verb, as_json=flags.as_json, ended=ended)
    if not report.sound:
        raise SystemExit(1)


def add(app: App) -> None:
    """Add the commands to the group `import`."""
    for command in (mlflow, wandb, neptune, trackio):
        app.command(command)
