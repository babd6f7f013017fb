"""Replays: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import UNSET, UnsetType

from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.faces.client.group import Group
from gimbal.generative.gateway.replaying.model import Replay, ReplayPlan


class Replays(Group):
    """What production asked a prompt, asked again of another version."""

    def plan(
        self,
        *,
        repeats: int | None | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        per_minute: float | None | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        cache: bool | UnsetType = UNSET,
        candidate: str,
        since: datetime,
        until: datetime | None | UnsetType = UNSET,
        sample: int | UnsetType = UNSET,
        seed: int | UnsetType = UNSET,
        of: str | UnsetType = UNSET,
        feature: str | None | UnsetType = UNSET,
        user: str | None | UnsetType = UNSET,
        score: list[str] | UnsetType = UNSET,
        scorers: list[str | ScorerSetting] | UnsetType = UNSET,
        project: str | None = None,
    ) -> ReplayPlan:
        """Tell which captured calls a replay would ask again and what that costs. Nothing is asked or stored.

        Args:
            repeats: How often each example is asked; null for what the suite says.
            concurrency: Calls under way at the same time, 1 to 64.
            per_minute: Calls that may begin in a minute; null for no limit but that of the gateway.
            timeout_s: Seconds after which a call counts as timed out.
            max_cost: US dollars that the run may cost, judges and all; it stops before a call that could pass
                them, and an answer whose judges the cap cut off is judged when the run goes on. Null for no cap.
            cache: Whether an answer that an earlier run got for the same content and the same repeat is taken
                instead of asking.
            candidate: The version to try: `prompt:support/answer@v8`.
            since: Calls from then on.
            until: Calls before then; null for now.
            sample: How many calls at most; of more a random sample is drawn.
            seed: The same seed draws the same calls; another one others.
            of: Whose calls: another prompt, or one version of it; empty for all versions of the candidate's.
            feature: Only calls of this feature.
            user: Only of this end user.
            score: Only calls whose trace has this score: helpful:<0.5, helpful:unscored.
            scorers: What judges both; empty for length, latency, cost, whether it refuses where the answer of
                then did, and the form of the answer where the candidate has one.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/replays/plan",
            ReplayPlan,
            path={"project": project},
            body={
                "repeats": repeats,
                "concurrency": concurrency,
                "per_minute": per_minute,
                "timeout_s": timeout_s,
                "max_cost": max_cost,
                "cache": cache,
                "candidate": candidate,
                "since": since,
                "until": until,
                "sample": sample,
                "seed": seed,
                "of": of,
                "feature": feature,
                "user": user,
                "score": score,
                "scorers": scorers,
            },
        )

    def start(
        self,
        *,
        repeats: int | None | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        per_minute: float | None | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        cache: bool | UnsetType = UNSET,
        candidate: str,
        since: datetime,
        until: datetime | None | UnsetType = UNSET,
        sample: int | UnsetType = UNSET,
        seed: int | UnsetType = UNSET,
        of: str | UnsetType = UNSET,
        feature: str | None | UnsetType = UNSET,
        user: str | None | UnsetType = UNSET,
        score: list[str] | UnsetType = UNSET,
        scorers: list[str | ScorerSetting] | UnsetType = UNSET,
        project: str | None = None,
    ) -> Replay:
        """Ask a candidate what production asked.

        The captured calls become a suite, the answers that were given an evaluation of it, the candidate's another; a job
        carries out each. evaluations.compare puts them side by side when both are done.

        Args:
            repeats: How often each example is asked; null for what the suite says.
            concurrency: Calls under way at the same time, 1 to 64.
            per_minute: Calls that may begin in a minute; null for no limit but that of the gateway.
            timeout_s: Seconds after which a call counts as timed out.
            max_cost: US dollars that the run may cost, judges and all; it stops before a call that could pass
                them, and an answer whose judges the cap cut off is judged when the run goes on. Null for no cap.
            cache: Whether an answer that an earlier run got for the same content and the same repeat is taken
                instead of asking.
            candidate: The version to try: `prompt:support/answer@v8`.
            since: Calls from then on.
            until: Calls before then; null for now.
            sample: How many calls at most; of more a random sample is drawn.
            seed: The same seed draws the same calls; another one others.
            of: Whose calls: another prompt, or one version of it; empty for all versions of the candidate's.
            feature: Only calls of this feature.
            user: Only of this end user.
            score: Only calls whose trace has this score: helpful:<0.5, helpful:unscored.
            scorers: What judges both; empty for length, latency, cost, whether it refuses where the answer of
                then did, and the form of the answer where the candidate has one.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/replays",
            Replay,
            path={"project": project},
            body={
                "repeats": repeats,
                "concurrency": concurrency,
                "per_minute": per_minute,
                "timeout_s": timeout_s,
                "max_cost": max_cost,
                "cache": cache,
                "candidate": candidate,
                "since": since,
                "until": until,
                "sample": sample,
                "seed": seed,
                "of": of,
                "feature": feature,
                "user": user,
                "score": score,
                "scorers": scorers,
            },
        )
