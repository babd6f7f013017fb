"""The commands `gimbal import …`: choose the source, show progress, print the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import App, Parameter

from gimbal.faces.client.client import Client
from gimbal.faces.importing.carrier import Carrier
from gimbal.faces.importing.records import Source
from gimbal.faces.importing.registry import RegistryCarrier
from gimbal.faces.importing.report import Report
from gimbal.faces.importing.showing import moving, show_report
from gimbal.faces.importing.sources.neptune import Neptune
from gimbal.faces.importing.sources.opening import open_mlflow
from gimbal.faces.importing.sources.trackio import Trackio
from gimbal.faces.importing.sources.wandb import Wandb

Project = Annotated[str | None, Parameter(help="Project to import into; GIMBAL_PROJECT or `default` otherwise.")]
Chosen = Annotated[list[str] | None, Parameter(help="Only this experiment; may be given several times.", negative="")]
DryRun = Annotated[bool, Parameter(help="Show what would come, and change nothing.", negative="")]
Verify = Annotated[
    bool,
    Parameter(help="Compare counts and digests of both sides, and change nothing; 1 on a difference.", negative=""),
]
NoFiles = Annotated[bool, Parameter(name="--no-artifacts", help="Leave files out.", negative="")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON.", negative="")]
_TIMEOUT_S = 120.0


def mlflow(
    source: Annotated[
        str, Parameter(help="http(s)://… of an MLflow server, a folder mlruns, sqlite:///mlflow.db or postgresql://….")
    ],
    *,
    experiment: Chosen = None,
    project: Project = None,
    dry_run: DryRun = False,
    verify: Verify = False,
    no_artifacts: NoFiles = False,
    as_json: AsJson = False,
) -> None:
    """Import runs, logged models and registered models of MLflow.

    A second time changes nothing, and goes on where the first one broke off.
    """
    flags = Flags(project=project, dry_run=dry_run, verify=verify, files=not no_artifacts, as_json=as_json)
    _run(lambda: open_mlflow(source, experiment or []), source, flags)


def wandb(
    folder: Annotated[Path, Parameter(help="Folder with runs of W&B's client (run-*, offline-run-*), or an export.")],
    *,
    follow_links: Annotated[
        bool, Parameter(help="Take the files that links lead to, as `wandb.save` leaves them.", negative="")
    ] = False,
    experiment: Chosen = None,
    project: Project = None,
    dry_run: DryRun = False,
    verify: Verify = False,
    no_artifacts: NoFiles = False,
    as_json: AsJson = False,
) -> None:
    """Import runs of Weights & Biases from folders.

    Its project becomes the experiment. A second time changes nothing, and goes on where the first one broke off.
    """
    flags = Flags(project=project, dry_run=dry_run, verify=verify, files=not no_artifacts, as_json=as_json)
    _run(lambda: Wandb(folder, experiment or [], links=follow_links), str(folder), flags)


def neptune(
    folder: Annotated[Path, Parameter(help="Folder that neptune-exporter wrote: its --data-path, or the one above.")],
    *,
    files: Annotated[
        Path | None, Parameter(help="Its --files-path, where that is not the folder files beside.")
    ] = None,
    experiment: Chosen = None,
    project: Project = None,
    dry_run: DryRun = False,
    verify: Verify = False,
    no_artifacts: NoFiles = False,
    as_json: AsJson = False,
) -> None:
    """Import runs of Neptune from what its exporter wrote.

    Its project becomes the experiment. A second time changes nothing, and goes on where the first one broke off.
    """
    flags = Flags(project=project, dry_run=dry_run, verify=verify, files=not no_artifacts, as_json=as_json)
    _run(lambda: Neptune(folder, files, experiment or []), str(folder), flags)


def trackio(
    place: Annotated[Path, Parameter(help="Trackio's folder, or the .db file of one project.")],
    *,
    experiment: Chosen = None,
    project: Project = None,
    dry_run: DryRun = False,
    verify: Verify = False,
    no_artifacts: NoFiles = False,
    as_json: AsJson = False,
) -> None:
    """Import runs of Trackio from its SQLite files.

    Its project becomes the experiment. A second time changes nothing, and goes on where the first one broke off.
    """
    flags = Flags(project=project, dry_run=dry_run, verify=verify, files=not no_artifacts, as_json=as_json)
    _run(lambda: Trackio(place, experiment or []), str(place), flags)


class Flags(NamedTuple):
    """What all of the commands may be told."""

    project: str | None
    dry_run: bool
    verify: bool
    files: bool
    as_json: bool


def _run(opened: Callable[[], Source], shown: str, flags: Flags) -> None:
    report = Report()
    verb = "compare" if flags.verify else "look" if flags.dry_run else "bring"
    with Client(project=flags.project, timeout=_TIMEOUT_S) as client:
        source = opened()
        carrier = Carrier(client, source, report, files=flags.files)
        models = RegistryCarrier(client, source, report, files=flags.files)
        with moving(source.count(), report, verb) as moved:
            getattr(carrier, verb)(moved)
            getattr(models, verb)()
        show_report(report, shown, client.project, verb, as_json=flags.as_json)
    if not report.sound:
        raise SystemExit(1)


def add(app: App) -> None:
    """Add the commands to the group `import`."""
    for command in (mlflow, wandb, neptune, trackio):
        app.command(command)
