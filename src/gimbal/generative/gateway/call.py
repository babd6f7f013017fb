"""One call as it came in: by which wire, what it asks for, for whom, and where it stands in a trace."""

from functools import cached_property

import msgspec

from gimbal.generative.gateway.conversation import Conversation
from gimbal.generative.gateway.wire.protocol import Asked, Wire
from gimbal.kernel.ids import new_id, new_trace_id


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """For what and for whom a call is made."""

    feature: str = ""
    user: str = ""
    session: str = ""
    prompt: str = ""
    """Reference of the prompt version, as the caller named it; `admit` resolves it."""
    endpoint: str = ""
    """What was called: a path of ours, or what the caller names."""
    tags: tuple[str, ...] = ()
    """Words, or `key:value`."""


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where the call stands in a trace."""

    trace_id: str
    parent_id: str | None = None
    remote: bool = False
    """Whether the parent belongs to the caller's process."""


def new_trace() -> TraceContext:
    """Return the context of a trace that starts here."""
    return TraceContext(trace_id=new_trace_id())


class Call:
    """What a caller asks for. Made once per request; the conversation is decoded when somebody first needs it."""

    def __init__(
        self,
        wire: Wire,
        asked: Asked,
        *,
        attribution: Attribution | None = None,
        trace: TraceContext | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        timeout_s: float | None = None,
    ) -> None:
        self.wire = wire
        """The wire that it came by."""
        self.asked = asked
        self.attribution = attribution or Attribution()
        self.trace = trace or new_trace()
        self.headers = headers
        """Headers of the caller that go on to a provider of the same wire (`anthropic-beta` …)."""
        self.timeout_s = timeout_s
        """How long the caller waits; None where it did not say."""
        self.rewritten = False
        """Whether it says something else than the caller's own bytes."""

    def saying(self, conversation: Conversation) -> "Call":
        """Return the call with another conversation: of a prompt, or what guards left of it."""
        other = Call(
            self.wire, self.asked, attribution=self.attribution, trace=self.trace, headers=self.headers,
            timeout_s=self.timeout_s,
        )  # fmt: skip
        other.rewritten = True
        other.__dict__["conversation"] = conversation
        other.__dict__["id"] = self.id
        return other

    @cached_property
    def conversation(self) -> Conversation:
        """Everything that it says, in normal form; raise BadInput where it cannot be read."""
        return self.wire.conversation(self.asked)

    @cached_property
    def id(self) -> str:
        """An id for an answer that we write ourselves; wires put their prefix before it."""
        return new_id().replace("-", "")
