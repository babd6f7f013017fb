"""Sends by hand what earlier programs left on disk: `gimbal runs sync`."""

from collections.abc import Sequence

from gimbal.faces.client.client import Client
from gimbal.faces.client.generated.runs import Runs
from gimbal.faces.client.run_courier import AGAIN
from gimbal.faces.client.run_parcels import decoded, post
from gimbal.faces.client.spool import RUNS, Spool
from gimbal.kernel.errors import Busy, GimbalError


def sync(client: Client) -> tuple[int, list[str]]:
    """Send everything that earlier programs left for the client's server and project.

    Return how many requests were sent, and what the server refused of them, in words. Raise what keeps them from being
    sent; the rest stays on disk.
    """
    to = client.transport
    spool, runs = Spool(to.url, to.project, kind=RUNS), Runs(to)
    sent = 0
    refused: list[str] = []

    def send(lines: Sequence[bytes]) -> None:
        nonlocal sent
        problems: list[GimbalError] = []
        for line in lines:
            parcel = decoded(line)
            try:
                post(runs, parcel)
            except AGAIN:
                raise
            except GimbalError as problem:
                problems.append(problem)
                refused.append(f"{parcel.op} of the run {parcel.run}: {problem}")
        sent += len(lines) - len(problems)
        if problems:
            raise problems[0]

    while (outcome := spool.send_next(send)) != "empty":
        if outcome == "taken":
            raise Busy("Another program is sending what waits.", kept="everything", todo="Look again in a moment.")
    return sent, refused
