"""What an error says: whether the same target may be tried again, whether another may do better, whose fault it is."""

from typing import NamedTuple

from gimbal.engines.http.model import Broken, TooSlow, Unreachable
from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.resilience.model import Resilience
from gimbal.kernel.errors import GimbalError

_SEEN = 4096
# How providers say in a 400 that their filter stopped the call, or that it is too long; of a body's beginning.
_FILTERED = (b"content_filter", b"content_policy", b"ResponsibleAIPolicy", b"moderation")
_TOO_LONG = (b"context_length_exceeded", b"maximum context length", b"prompt is too long", b"input token count")
# A limit that no waiting lifts: the account's money is used up.
_USED_UP = (b"insufficient_quota", b"billing_hard_limit")


class Fault(NamedTuple):
    """The verdict on one error."""

    kind: str
    """What figures count it as."""
    outcome: str
    """What the record of the attempt says."""
    again: bool
    """Whether the same target may be tried again without harm."""
    elsewhere: bool
    """Whether another target may do better."""
    counts: bool
    """Whether it speaks against the health of the model."""


def _refused(kind: str, *, again: bool = False, elsewhere: bool = True, counts: bool = True) -> Fault:
    return Fault(kind, "refused", again, elsewhere, counts)


CALLER = _refused("caller", elsewhere=False, counts=False)
"""The call itself is at fault: every target would say so."""
LIMITED = _refused("rate_limited", again=True)
_USED = _refused("quota")
_KEY = _refused("key")
_FORBIDDEN = _refused("forbidden", counts=False)
_GONE = _refused("model_gone", counts=False)
_OVERLOADED = _refused("overloaded", again=True)
_SERVER = _refused("server_error", again=True)
_REFUSED_SERVER = _refused("server_error")
_BAD_ANSWER = _refused("bad_answer")
_FILTER = _refused("content_filter", counts=False)
_LENGTH = _refused("context_length", counts=False)

BY_STATUS = {
    401: _KEY,  # ours: the caller's was judged before
    402: _KEY,
    403: _FORBIDDEN,  # of our key, or of this one call: no reason to stop all others
    404: _GONE,
    408: _SERVER,
    429: LIMITED,
    500: _SERVER,
    502: _SERVER,
    503: _OVERLOADED,
    504: _SERVER,
    529: _OVERLOADED,
}
"""By the provider's status; other 4xx are the caller's fault, other 5xx the provider's and not worth a repetition."""


def judge(problem: GimbalError, resilience: Resilience, *, hurried: bool = False) -> Fault:
    """Return what an error says; `hurried`: the caller left less time than the deadlines of the plan."""
    if isinstance(problem, Refusal):
        return _refusal(problem, resilience)
    if isinstance(problem, Unreachable):
        return Fault("unreachable", "unreachable", again=True, elsewhere=True, counts=True)
    if isinstance(problem, Broken):
        # Part of an answer had come: it is billed, and may have been handed on.
        whole = not problem.begun
        return Fault("broken", "broken", again=whole and resilience.retry.repeatable, elsewhere=whole, counts=True)
    if isinstance(problem, TooSlow):
        return _too_slow(problem, resilience, hurried=hurried)
    if problem.status == 404 or problem.status >= 500:
        # A 200 that was none, a provider that is not set up here, or one that is there no more.
        theirs = problem.status == 502
        return Fault("bad_answer" if theirs else "not_set_up", "failed", again=False, elsewhere=True, counts=theirs)
    return Fault("caller", "failed", again=False, elsewhere=False, counts=False)


def _too_slow(problem: TooSlow, resilience: Resilience, *, hurried: bool) -> Fault:
    if problem.phase == "connect":
        return Fault("too_slow", "too_slow", again=True, elsewhere=True, counts=True)
    if problem.phase in {"between", "total"}:
        # The answer had begun, or the time of the whole call is over. A caller in a hurry says nothing about the model.
        ours = problem.phase == "between" or not hurried
        return Fault("too_slow", "too_slow", again=False, elsewhere=False, counts=ours)
    again = resilience.retry.repeatable
    return Fault("too_slow", "too_slow", again=again, elsewhere=True, counts=True)


def _refusal(problem: Refusal, resilience: Resilience) -> Fault:
    status = problem.provider_status
    found = BY_STATUS.get(status)
    if found is LIMITED and _says(problem, _USED_UP):
        return _USED
    if found is not None:
        return found
    if status >= 500:
        return _REFUSED_SERVER
    if status < 400:
        return _BAD_ANSWER
    if status == 400 and problem.status >= 500:
        return _KEY  # so Gemini says it
    if status in {400, 413, 422}:
        for fault, marks in ((_LENGTH, _TOO_LONG), (_FILTER, _FILTERED)):
            if _says(problem, marks):
                return fault._replace(elsewhere=fault.kind in resilience.fall_back_on)
    return CALLER


def _says(problem: Refusal, marks: tuple[bytes, ...]) -> bool:
    said = problem.body_sent[:_SEEN] or problem.message.encode()
    return any(mark in said for mark in marks)
