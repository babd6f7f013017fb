"""Who used which version of a prompt, and when: what `prompts.usage` answers."""

from datetime import datetime
from decimal import Decimal

import msgspec


class PromptUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one caller did with one version. What its spans do not say is null, which is no caller's name."""

    ref: str
    """The version that was used: `prompt:help/answer@v2`."""
    key: str | None = None
    """Id of the API key of the calls."""
    feature: str | None = None
    """Feature of the application; `evaluation` where an evaluation asked."""
    service: str | None = None
    """`service.name` of the program, where it sent the spans itself."""
    user: str | None = None
    """End user; null, too, where users are not told apart."""
    users: int
    """How many end users are known of."""
    traces: int
    """Traces that used it; like all counts an estimate where sampling left some out."""
    calls: int
    """Model calls, each once, whichever spans report it."""
    errors: int
    """Failed spans."""
    cost: Decimal | None
    """US dollars of the calls whose price is known; null when none is."""
    unpriced: int
    """Calls whose cost is unknown."""
    first_at: datetime
    """First use within the range."""
    last_at: datetime


class PromptUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Who used the versions of a prompt, the latest use first."""

    since: datetime
    """Where the range begins: what was used before is not in it."""
    uses: list[PromptUse]
    more: bool
    """Whether there are callers beyond the limit."""
