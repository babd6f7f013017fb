"""Sampling: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET, UnsetType

from gimbal.axis.traces.sampling import SamplingPolicy
from gimbal.faces.client.group import Group


class Sampling(Group):
    """Which traces a project keeps."""

    def set(
        self,
        *,
        head_rate: float | UnsetType = UNSET,
        tail_rate: float | None | UnsetType = UNSET,
        slow_ms: int | None | UnsetType = UNSET,
        costly_usd: Decimal | None | UnsetType = UNSET,
        wait_s: int | UnsetType = UNSET,
        project: str | None = None,
    ) -> SamplingPolicy:
        """Set which traces the project keeps, of those that come from now on; what is left out cannot be had back.

        Args:
            head_rate: Share of the traces that is taken in at all, by their ids: above 0, up to 1.
            tail_rate: Share that is kept of the traces that ended well, fast and cheap; not above `head_rate`.
                Null keeps them all.
            slow_ms: Traces at least so long are always kept, in milliseconds of their root; null means that
                none is too slow.
            costly_usd: Traces that cost at least so much are always kept; null means that none is too costly.
            wait_s: A trace is decided on when nothing came of it for so many seconds, 10 to 86,400.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/traces/sampling",
            SamplingPolicy,
            path={"project": project},
            body={
                "head_rate": head_rate,
                "tail_rate": tail_rate,
                "slow_ms": slow_ms,
                "costly_usd": costly_usd,
                "wait_s": wait_s,
            },
        )

    def show(self, *, project: str | None = None) -> SamplingPolicy:
        """Show which traces the project keeps, and up to when they have been decided on."""
        return self._transport.call(
            "GET", "/projects/{project}/traces/sampling", SamplingPolicy, path={"project": project}
        )
