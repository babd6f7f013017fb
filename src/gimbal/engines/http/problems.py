"""The errors of both clients in the same words."""

import errno
import os
import socket
import ssl

from gimbal.engines.http.model import Broken, Deadlines, Origin, TooSlow, Unreachable
from gimbal.kernel.errors import Upstream

_WHAT = {
    "connect": "no connection could be had",
    "first_byte": "no byte of an answer came",
    "between": "nothing more of the answer came",
    "total": "the answer did not end",
}


def name_of(origin: Origin) -> str:
    """Return an origin as people write it."""
    host = f"[{origin.host.strip('[]')}]" if ":" in origin.host else origin.host
    return f"{origin.scheme}://{host}:{origin.port}"


def unreachable(where: str, problem: BaseException) -> Unreachable:
    """Tell why there is no connection."""
    todo = "Look at the address, and whether it can be reached from here."
    if isinstance(problem, socket.gaierror | UnicodeError):
        words = f"The name in {where} is not known: {_said(problem)}"
    elif isinstance(problem, ssl.SSLCertVerificationError):
        words = f"The certificate of {where} does not hold: {problem.verify_message or _said(problem)}"
        todo = "Mend the certificate, or name the file of its authority in SSL_CERT_FILE."
    elif isinstance(problem, ssl.SSLError):
        words = f"TLS with {where} failed: {(problem.reason or _said(problem)).lower().replace('_', ' ')}"
    else:
        words = f"{where} cannot be reached: {_said(problem)}"
    return Unreachable(f"{words.rstrip('.')}.", where=where, kept="nothing was sent", todo=todo)


def broken(where: str, why: str, *, begun: bool) -> Broken:
    """Tell why a connection ended before the answer did."""
    problem = Broken(f"The answer of {where} broke off: {why}.", where=where)
    problem.begun = begun
    return problem


def too_slow(where: str, phase: str, deadlines: Deadlines) -> TooSlow:
    """Tell which deadline passed."""
    seconds = getattr(deadlines, f"{phase}_s")
    problem = TooSlow(f"{where} was too slow: {_WHAT[phase]} within {seconds:g} s.", where=where)
    problem.phase = phase
    return problem


def too_large(where: str, limit: int) -> Upstream:
    """Tell that a body is more than is read."""
    return Upstream(f"The answer of {where} has more than {limit} bytes, the most that is read of it.", where=where)


def undecodable(where: str, why: str) -> Upstream:
    """Tell that a body is not what its encoding says."""
    return Upstream(f"The answer of {where} cannot be decoded: {why}.", where=where)


def _said(problem: BaseException) -> str:
    number = problem.errno if isinstance(problem, OSError) and not isinstance(problem, socket.gaierror) else None
    if number is not None and number in errno.errorcode:
        # The loops put words of their own in its place.
        return os.strerror(number)
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
