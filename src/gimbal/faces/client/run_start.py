"""`gimbal.run`: starts a run or goes on with one, alone, inside another, or as one process of a distributed job."""

import contextlib
import itertools
import logging
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import FrameType
from typing import Any

from gimbal.axis.runs.model import MAX_NAME, Run
from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.environment import environment as look_around
from gimbal.faces.client.outbox import PASSING
from gimbal.faces.client.run_courier import BEAT_S, RunCourier, run_courier
from gimbal.faces.client.run_output import Capture
from gimbal.faces.client.run_parcels import Parcel
from gimbal.faces.client.run_ranks import named_run, place, shared_run
from gimbal.faces.client.run_system import watch
from gimbal.faces.client.run_values import plain, texts
from gimbal.faces.client.runs import ActiveRun, current_run, open_runs
from gimbal.kernel.clock import SystemClock, iso
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.ids import derived_id, new_id, parse_id

_log = logging.getLogger("gimbal")
_LOOK_S = 5.0
# Of this process: launchers start as many in each.
_nth = itertools.count()


def run(
    name: str = "",
    *,
    experiment: str = "default",
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    inputs: Sequence[str] = (),
    resume: str = "",
    group: str = "",
    note: str = "",
    environment: bool = True,
    system_s: float = 10.0,
    output: bool = False,
    client: Client | None = None,
) -> ActiveRun:
    """Start to track a computation: `with gimbal.run("name") as run:`.

    The run ends with the block, as `finished`, or as `failed` with the error when the block raises. Without `with`,
    call `finish`; what a program leaves open is ended when the program is. Inside another run it is a part of that.
    While the server is away the run starts all the same and waits on disk.

    Args:
        name: What people call it.
        experiment: What it belongs to.
        params: First parameters.
        tags: First tags.
        inputs: References of versions that it reads.
        resume: Id of a run to go on with; `must`: the one of GIMBAL_RUN_ID, or of this experiment and name, goes on;
            `allow`: the same, or it starts.
        group: What runs share that are one study or sweep.
        note: What there is to say about it, in Markdown.
        environment: Whether to keep packages, hardware, command line and the version of the code.
        system_s: Every how many seconds to measure the machine; 0 for never.
        output: Whether to keep what the program writes to its output.
        client: Another server or project than the environment names.
    """
    client = client or default_client()
    courier = run_courier(client)
    outer = current_run()
    seat, nth = place(), next(_nth)
    given, must = _identity(client, name, experiment, resume, nth, outer)
    body: dict[str, Any] = {
        "name": name,
        "experiment": experiment,
        "params": plain(params),
        "tags": texts(tags),
        "inputs": list(inputs),
        "group": group,
        "note": note,
        "parent_id": outer.id if outer is not None and outer.client.transport.url == client.transport.url else None,
        "beat_s": BEAT_S,
    }
    if given and not seat.rank:
        made = _going_on(courier, client, given, body, must=must)
    else:
        # Whether a run of several processes has ended is for that of rank 0 to say.
        made = _started(courier, client, given or new_id(), body)
    run_id, shown, known = made
    active = ActiveRun(client, courier, run_id, shown, known, rank=seat.rank)
    if given and (body["params"] or body["tags"]):
        active.log(params=body["params"], tags=body["tags"])
    if seat.rank:
        active.beats = False
    elif environment:
        _look_around(active)
    if system_s > 0:
        watch(active, system_s)
    if output:
        Capture(active)
    _end_on_term()
    return active


_Made = tuple[str, str, dict[str, Any]]


def _identity(
    client: Client, name: str, experiment: str, resume: str, nth: int, outer: ActiveRun | None
) -> tuple[str, bool]:
    """Return the id of a run that may be there already (empty: a new one), and whether it must be."""
    named = named_run() if outer is None and not nth else ""
    if resume in {"allow", "must"}:
        if not named and not name:
            raise BadInput(
                f"There is nothing to know the run by that {resume}s be resumed.",
                where="resume",
                kept="nothing",
                todo="Give it a name, or set GIMBAL_RUN_ID.",
            )
        return named or derived_id("run", client.project, experiment, name), resume == "must"
    if resume:
        return parse_id(resume, "resume"), True
    return named or shared_run(nth), False


def _going_on(courier: RunCourier, client: Client, run_id: str, body: dict[str, Any], *, must: bool) -> _Made:
    """Go on with a run that is there, or start it."""
    courier.catch_up()
    try:
        if courier.behind:
            return _later(courier, run_id, body, start=not must, resumes=True)
        found = client.runs.show(run_id)
        if found.status != "running":
            client.runs.update(run_id, status="running")
        client.runs.beat(run_id, every_s=BEAT_S)
    except NotFound:
        if must:
            raise
        return _started(courier, client, run_id, body)
    except PASSING:
        if not courier.spools:
            raise
        return _later(courier, run_id, body, start=not must, resumes=True)
    return found.id, found.name, dict(found.params)


def _started(courier: RunCourier, client: Client, run_id: str, body: dict[str, Any]) -> _Made:
    # The id is ours, so that a repeated request starts no second run.
    if not courier.behind:
        try:
            made: Run = client.runs.create(id=run_id, **body)
        except PASSING:
            if not courier.spools:
                raise
        else:
            return made.id, made.name, dict(body["params"])
    return _later(courier, run_id, body, start=True, resumes=False)


def _later(courier: RunCourier, run_id: str, body: dict[str, Any], *, start: bool, resumes: bool) -> _Made:
    """Start a run, or go on with it, when the server answers again."""
    now = SystemClock().now()
    if len(body["name"]) > MAX_NAME:
        raise BadInput(f"A name has at most {MAX_NAME} characters.", where="name", kept="nothing", todo="Shorten it.")
    shown = body["name"] or _named(now)
    if start:
        content = {**body, "name": shown, "started_at": iso(now)}
        courier.add(Parcel(run=run_id, op="create", body=content))
    if resumes:
        courier.add(Parcel(run=run_id, op="update", body={"status": "running"}))
    _log.warning("Gimbal does not answer: the run %s is kept on disk until it does", shown)
    return run_id, shown, dict(body["params"]) if start else {}


def _named(now: datetime) -> str:
    return f"run {now:%Y-%m-%d %H:%M:%S}"


def _look_around(active: ActiveRun) -> None:
    """Note what the run runs in, beside it: asking git and reading what is installed takes a moment."""

    def look() -> None:
        with contextlib.suppress(GimbalError):
            found = look_around()
            active.label(found.tags)
            for path, content in found.files.items():
                active.put_later(path, content)

    looking = threading.Thread(target=look, name="gimbal-environment", daemon=True)
    looking.start()
    active.before_end(lambda: looking.join(_LOOK_S))


def _end_on_term() -> None:
    """Let the runs of a program that is told to end be killed ones, unless the program does something else then."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _ended_by)


def _ended_by(number: int, frame: FrameType | None) -> None:
    for active in open_runs():
        active.will_end("killed", signal.Signals(number).name)
    if not open_runs():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    raise SystemExit(128 + number)
