"""What goes in and out of the operations on routes."""

from datetime import datetime
from typing import Annotated

import msgspec

from gimbal.generative.gateway.resilience.model import Resilience
from gimbal.generative.gateway.routes.model import RouteManifest

Count = Annotated[int, msgspec.Meta(ge=0)]


class PublishRoute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route file."""

    text: str
    """The file's whole text, in TOML."""
    name: str = ""
    """The route's name; empty: as the file says."""
    path: str = "route.toml"
    """What the file is called, for messages."""
    note: str = ""
    """Why, for the history of the versions; a commit id is a good note."""


class PublishedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """The version that a file is now."""

    ref: str
    """`route:support@v2`."""
    state: str
    """`created` (a new version), `unchanged` (the newest version already says this) or `reverted` (an older one does)."""
    notes: list[str] = []
    """What may be a mistake: providers that are not set up here."""


class TargetHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one model fares in the process that answers. How much others call it is not said: providers may be shared."""

    model: str
    """`provider/model`."""
    state: str
    """closed (calls pass), open (none does), half_open (probes do), or paused (it asked for that by Retry-After)."""
    since: datetime
    """Since when, or when it was first called."""
    until_s: float | None
    """Seconds until calls or probes pass again."""
    failing: float | None
    """Share of the breaker's window that failed; null where nothing was called."""
    first_byte_ms: float | None
    """Peak EWMA of the time to the first byte of streams."""
    first_byte_p95_ms: float | None
    whole_ms: float | None
    """Peak EWMA of the time to answers that are not streamed."""
    whole_p95_ms: float | None
    last_error: str
    """Kind and status of the last failure."""
    last_error_at: datetime | None


class RouteView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a route."""

    ref: str
    digest: str
    manifest: RouteManifest
    health: list[TargetHealth]
    """Its models as the process that answered knows them; those that it never called are not in it."""


class ChooseByRoute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call to try a route with; nothing is sent."""

    feature: str = ""
    """For what it is made."""
    user: str = ""
    """For whom."""
    session: str = ""
    """In which session."""
    tags: list[str] = []
    """Its tags."""
    model: str = ""
    """The model that is asked for, where a rule looks at it."""
    key_name: str = ""
    """Name of the caller's key."""
    stream: bool = False
    """Whether the answer is streamed."""
    tools: bool = False
    """Whether it brings tools."""
    vision: bool = False
    """Whether it shows images."""
    json_schema: bool = False
    """Whether the answer must follow a JSON schema."""
    input_tokens: Count = 1000
    """Tokens of its input."""
    answer_tokens: Count | None = None
    """Tokens that its answer may have."""

    @property
    def key(self) -> str:
        """Name of the caller's key."""
        return self.key_name


class ChosenTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One target of the plan."""

    model: str
    """`provider/model`."""
    prompt: str
    """The prompt version that is filled; empty without one."""
    why: str
    usable: bool
    """Whether calls are sent to it now: its breaker lets them through, and it has not asked to be left alone."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What a route would do with a call."""

    ref: str
    targets: list[ChosenTarget]
    """In the order in which they are asked."""
    shadow: str
    """The model that is asked beside; empty when none is."""
    reasons: list[str]
    resilience: Resilience
