"""Which process of a distributed job this is, and the one run that all of them log into.

Launchers tell by variables: torchrun and its kin RANK and WORLD_SIZE, Slurm SLURM_PROCID and SLURM_NTASKS, Open MPI
OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE. The id of the run is GIMBAL_RUN_ID, or made from what names the job.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gimbal.kernel.ids import derived_id, parse_id

_KINDS = (
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)


class Place(NamedTuple):
    """A process among those of its job."""

    rank: int = 0
    size: int = 1


def place(environ: Mapping[str, str] | None = None) -> Place:
    """Return where this process is among those of its job; alone when no launcher says otherwise."""
    environ = os.environ if environ is None else environ
    for rank, size in _KINDS:
        told = environ.get(rank, ""), environ.get(size, "")
        if all(word.isdigit() for word in told) and int(told[0]) < int(told[1]):
            return Place(int(told[0]), int(told[1]))
    return Place()


def named_run(environ: Mapping[str, str] | None = None) -> str:
    """Return the id by GIMBAL_RUN_ID; empty when it is not set. Raise BadInput when it is no id."""
    told = (os.environ if environ is None else environ).get("GIMBAL_RUN_ID", "").strip()
    return parse_id(told, "GIMBAL_RUN_ID") if told else ""


def shared_run(nth: int, environ: Mapping[str, str] | None = None) -> str:
    """Return the id that all processes of this job make for their `nth` run; empty when nothing names the job."""
    environ = os.environ if environ is None else environ
    if place(environ).size == 1:
        return ""
    job = _job(environ)
    return derived_id("job", *job, str(nth)) if job else ""


def _job(environ: Mapping[str, str]) -> tuple[str, ...]:
    if (torch := environ.get("TORCHELASTIC_RUN_ID", "none")) != "none":
        return "torch", torch, environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if slurm := environ.get("SLURM_JOB_ID"):
        return "slurm", slurm, environ.get("SLURM_STEP_ID", ""), environ.get("SLURM_RESTART_COUNT", "0")
    if mpi := environ.get("PMIX_NAMESPACE") or environ.get("OMPI_MCA_ess_base_jobid"):
        return "mpi", mpi
    if environ.get("LOCAL_WORLD_SIZE") == environ.get("WORLD_SIZE"):
        # All on this machine, children of one launcher.
        return "host", socket.gethostname(), str(os.getppid()), _started(os.getppid())
    return ()


def _started(pid: int) -> str:
    """Return when a process started, as the kernel counts: ids of processes are given again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
