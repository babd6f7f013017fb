"""What the worker, the process that speaks to Ray, and the processes of the cluster tell one another, one JSON per line."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal

import msgspec

from gimbal.engines.compute.attempt import Claim
from gimbal.kernel.context import Services

Assembly = Callable[[str], AbstractAsyncContextManager[Services]]
"""Opens, from a text, the services of a worker in a process of the cluster."""


class RaySetup(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster, and what its processes are made of."""

    address: str = ""
    """Where the cluster is: `host:port`, `ray://host:port` or `auto`; empty starts one that only this machine reaches."""
    resources: dict[str, float]
    """What Ray keeps free for each of our processes."""
    most: int = 1
    """Processes at the same time; each carries out one job at a time."""
    here: bool = True
    """Whether they must be on this machine, because the stores are."""
    assembly: str
    """The `Assembly`, as `module:function`; the module is installed on every machine of the cluster."""
    given: str = ""
    """The text that it gets."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker wants."""

    what: Literal["room", "carry_out", "park"]
    """`room` asks for a process that could begin a job now; it is kept for the next `carry_out`."""
    claim: Claim | None = None
    owner: str = ""
    """Whose attempt is to be parked."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order, or of the cluster."""

    what: Literal["up", "room", "none_yet", "away", "ended"]
    owner: str = ""
    """Whose attempt has ended."""
    why: str = ""
    """Why the cluster is away, or what became of the process that ended without a word; empty when all went well."""
