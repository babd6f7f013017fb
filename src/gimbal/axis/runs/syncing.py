"""`gimbal runs sync`: send what programs logged while the server was away."""

import importlib
import sys
from typing import Annotated

from cyclopts import Parameter

Project = Annotated[str | None, Parameter(help="Project; GIMBAL_PROJECT, or default, otherwise.")]


def sync(*, project: Project = None) -> None:
    """Send what programs of this machine logged while the server was away.

    The next program that tracks a run does so, too. What arrives twice is there once.
    """
    # By name: what is below the faces does not import them.
    courier = importlib.import_module("gimbal.faces.client.run_sync")
    with importlib.import_module("gimbal").Client(project=project) as client:
        sent, refused = courier.sync(client)
    sys.stdout.write(f"{sent:,} requests sent\n" if sent else "Nothing waits.\n")
    for each in refused:
        sys.stdout.write(f"refused: {each}\n")
