"""Conformance of HTTP clients: what the gateway relies on, whichever client of `gimbal.engines.http` carries its calls.

Servers on loopback say exactly the bytes of a script. Each check is a function of its own in `CHECKS`, so that a test can
name the promise that was broken.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from gimbal.testing.http_client import answers, faults, keeping, pressure, secure
from gimbal.testing.http_client.server import OpenClient

CHECKS: Final[tuple[Callable[[OpenClient], Awaitable[None]], ...]] = (
    answers.check_framings,
    answers.check_heads,
    answers.check_encodings,
    answers.check_limits,
    answers.check_requests,
    faults.check_breaks,
    faults.check_garbage,
    faults.check_deadlines,
    faults.check_reach,
    faults.check_refusals,
    faults.check_closing,
    keeping.check_reuse,
    keeping.check_stale,
    keeping.check_surplus,
    keeping.check_limits_of_a_pool,
    keeping.check_cancelling,
    keeping.check_confusion,
    pressure.check_slow_reader,
    pressure.check_slow_server,
    pressure.check_early_answer,
    pressure.check_sized_source,
    pressure.check_early_answer_to_sized,
    secure.check_tls,
)


async def check_http_client(open_client: OpenClient) -> None:
    """Check a client in every way, and that its memory does not grow; it takes half a minute or more."""
    for check in CHECKS:
        await check(open_client)
    await pressure.check_growth(open_client)
