"""Prices: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.pricing.finding import FoundPrice
from gimbal.axis.pricing.listing import PriceEntry
from gimbal.axis.pricing.model import LongContext
from gimbal.axis.pricing.records import BookVersion, PriceChange, Refresh
from gimbal.faces.client.group import Group
from gimbal.faces.client.transport import RawBody
from gimbal.kernel.pages import Page


class Prices(Group):
    """What model calls cost: the price book, and prices of one's own."""

    def find(
        self,
        *,
        provider: str,
        model: str,
        tier: str | UnsetType = UNSET,
        at: datetime | None | UnsetType = UNSET,
        version: str | None | UnsetType = UNSET,
        input: int | UnsetType = UNSET,
        output: int | UnsetType = UNSET,
        cache_read: int | UnsetType = UNSET,
        cache_write: int | UnsetType = UNSET,
        cache_write_5m: int | UnsetType = UNSET,
        cache_write_30m: int | UnsetType = UNSET,
        cache_write_1h: int | UnsetType = UNSET,
        cache_write_12h: int | UnsetType = UNSET,
        reasoning: int | UnsetType = UNSET,
        audio_input: int | UnsetType = UNSET,
        audio_cache_read: int | UnsetType = UNSET,
        audio_output: int | UnsetType = UNSET,
        image_input: int | UnsetType = UNSET,
        image_output: int | UnsetType = UNSET,
        requests: dict[str, int] | UnsetType = UNSET,
        project: str | None = None,
    ) -> FoundPrice:
        """Tell what a call would cost the project, by token class, and which prices count for it and why.

        Args:
            provider: As spans name it: `openai`, `anthropic` …
            model: As spans name it, also with the day of a snapshot.
            tier: How the call is served: standard, batch, flex, priority, fast or regional.
            at: Null: now.
            version: `price_book` of a span: by the very prices that it names; null: by those in force.
            input: Text that is neither read from a cache nor written to one.
            output: Text, without reasoning.
            cache_read: Input tokens from the provider's cache.
            cache_write: Input tokens put into it for a time that was not told.
            cache_write_5m: Input tokens put into it for 5 minutes.
            cache_write_30m: Input tokens put into it for 30 minutes.
            cache_write_1h: Input tokens put into it for an hour.
            cache_write_12h: Input tokens put into it for 12 hours.
            reasoning: Output tokens of reasoning.
            audio_input: Input tokens of audio.
            audio_cache_read: Input tokens of audio from the provider's cache.
            audio_output: Output tokens of audio.
            image_input: Input tokens of images and of the frames of videos.
            image_output: Output tokens of images.
            requests: Uses of the provider's tools: `web_search` …
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prices/find",
            FoundPrice,
            path={"project": project},
            body={
                "provider": provider,
                "model": model,
                "tier": tier,
                "at": at,
                "version": version,
                "input": input,
                "output": output,
                "cache_read": cache_read,
                "cache_write": cache_write,
                "cache_write_5m": cache_write_5m,
                "cache_write_30m": cache_write_30m,
                "cache_write_1h": cache_write_1h,
                "cache_write_12h": cache_write_12h,
                "reasoning": reasoning,
                "audio_input": audio_input,
                "audio_cache_read": audio_cache_read,
                "audio_output": audio_output,
                "image_input": image_input,
                "image_output": image_output,
                "requests": requests,
            },
        )

    def list(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        tier: Literal["standard", "batch", "flex", "priority", "fast", "regional"] | None = None,
        layer: Literal["project", "installation", "book"] | None = None,
        at: datetime | None = None,
        removed: bool = False,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[PriceEntry]:
        """List what the project pays, per million tokens: its own prices, those of the installation, and the book.

        Args:
            provider: Only of this provider.
            model: Only names that contain this, or fit it where it has `*`.
            tier: Only of this tier.
            layer: Only of the project, the installation, or the book.
            at: Only those that count at this moment.
            removed: Also those that were removed.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/prices",
            Page[PriceEntry],
            path={"project": project},
            query={
                "provider": provider,
                "model": model,
                "tier": tier,
                "layer": layer,
                "at": at,
                "removed": removed,
                "cursor": cursor,
                "limit": limit,
            },
        )

    def refresh(self, *, force: bool = False) -> Refresh:
        """Take the newest price book from the address or file in the settings.

        It is checked whole before any of it counts. Where it cannot be had, or is not right, the one before stays.

        Args:
            force: Take a book that is older than the one in force, to go back.
        """
        return self._transport.call("POST", "/prices/refresh", Refresh, path={}, query={"force": force})

    def remove(self, name: str, *, project: str | None = None) -> PriceChange:
        """Let a price of the project count no more; it is kept for the calls that were counted with it.

        Args:
            name: Its name: `p3` is a price of a project, `i3` one of the installation.
        """
        return self._transport.call(
            "DELETE", "/projects/{project}/prices/{name}", PriceChange, path={"project": project, "name": name}
        )

    def remove_everywhere(self, name: str) -> PriceChange:
        """Let a price of the installation count no more; it is kept for the calls that were counted with it.

        Args:
            name: Its name: `p3` is a price of a project, `i3` one of the installation.
        """
        return self._transport.call("DELETE", "/prices/{name}", PriceChange, path={"name": name})

    def set(
        self,
        *,
        provider: str,
        model: str,
        factor: Decimal | None | UnsetType = UNSET,
        input: Decimal | None | UnsetType = UNSET,
        output: Decimal | None | UnsetType = UNSET,
        cache_read: Decimal | None | UnsetType = UNSET,
        cache_write: Decimal | None | UnsetType = UNSET,
        cache_write_1h: Decimal | None | UnsetType = UNSET,
        cache_write_12h: Decimal | None | UnsetType = UNSET,
        reasoning: Decimal | None | UnsetType = UNSET,
        audio_input: Decimal | None | UnsetType = UNSET,
        audio_output: Decimal | None | UnsetType = UNSET,
        audio_cache_read: Decimal | None | UnsetType = UNSET,
        image_input: Decimal | None | UnsetType = UNSET,
        image_output: Decimal | None | UnsetType = UNSET,
        requests: dict[str, Decimal] | UnsetType = UNSET,
        long_context: LongContext | None | UnsetType = UNSET,
        tier: Literal["standard", "batch", "flex", "priority", "fast", "regional"] | None | UnsetType = UNSET,
        valid_from: date | None | UnsetType = UNSET,
        valid_until: date | None | UnsetType = UNSET,
        currency: str | UnsetType = UNSET,
        usd: Decimal | None | UnsetType = UNSET,
        aliases: tuple[str, ...] | UnsetType = UNSET,
        source: str | UnsetType = UNSET,
        confidence: Literal["published", "contract", "derived", "estimated"] | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        unusual: bool | UnsetType = UNSET,
        project: str | None = None,
    ) -> PriceChange:
        """Set what the project pays for a model or a pattern of models, from a day on.

        What is stored keeps the price that it was counted with, until it is rerated.

        Args:
            provider: As spans name it: `openai`, `anthropic` …
            model: Name, or a pattern with `*` for any characters; with a factor `*` alone is every model of the
                provider.
            factor: `0.88` is 12 % off what would be paid without this price, tools included; then there are no
                other amounts.
            input: Text that is neither cached nor written to a cache; full prices need it.
            output: Text, without reasoning; full prices need it.
            cache_read: Input from the provider's cache; null: as other input.
            cache_write: Input put into it for up to 30 minutes; null: as other input.
            cache_write_1h: Input put into it for an hour; null: such calls are unpriced.
            cache_write_12h: Input put into it for 12 hours; null: such calls are unpriced.
            reasoning: Null: as the output.
            audio_input: Null: such calls are unpriced.
            audio_output: Null: such calls are unpriced.
            audio_cache_read: Null: such calls are unpriced.
            image_input: Null: as the input.
            image_output: Null: such calls are unpriced.
            requests: Per use of a tool of the provider: `web_search` …
            long_context: Other rates for calls whose input is longer than a threshold.
            tier: Null: full prices are those of `standard`, a factor holds for every tier.
            valid_from: First day, in UTC; null: today. A later day is a planned change, an earlier one touches
                what is stored only by rerating it.
            valid_until: First day on which it no longer holds; null: until the next of the same model begins,
                or it is removed.
            currency: Of all amounts here, in three letters.
            usd: What one unit of the currency is worth in dollars; null: as the book says for the day of the
                call.
            aliases: Other names of the model.
            source: Who says so: a contract's number, a page.
            confidence: How sure it is: published, contract, derived or estimated.
            note: For whoever reads it later.
            unusual: Set it although it is far from what the book says or from what models cost: checked, and
                meant so.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prices",
            PriceChange,
            path={"project": project},
            body={
                "provider": provider,
                "model": model,
                "factor": factor,
                "input": input,
                "output": output,
                "cache_read": cache_read,
                "cache_write": cache_write,
                "cache_write_1h": cache_write_1h,
                "cache_write_12h": cache_write_12h,
                "reasoning": reasoning,
                "audio_input": audio_input,
                "audio_output": audio_output,
                "audio_cache_read": audio_cache_read,
                "image_input": image_input,
                "image_output": image_output,
                "requests": requests,
                "long_context": long_context,
                "tier": tier,
                "valid_from": valid_from,
                "valid_until": valid_until,
                "currency": currency,
                "usd": usd,
                "aliases": aliases,
                "source": source,
                "confidence": confidence,
                "note": note,
                "unusual": unusual,
            },
        )

    def set_everywhere(
        self,
        *,
        provider: str,
        model: str,
        factor: Decimal | None | UnsetType = UNSET,
        input: Decimal | None | UnsetType = UNSET,
        output: Decimal | None | UnsetType = UNSET,
        cache_read: Decimal | None | UnsetType = UNSET,
        cache_write: Decimal | None | UnsetType = UNSET,
        cache_write_1h: Decimal | None | UnsetType = UNSET,
        cache_write_12h: Decimal | None | UnsetType = UNSET,
        reasoning: Decimal | None | UnsetType = UNSET,
        audio_input: Decimal | None | UnsetType = UNSET,
        audio_output: Decimal | None | UnsetType = UNSET,
        audio_cache_read: Decimal | None | UnsetType = UNSET,
        image_input: Decimal | None | UnsetType = UNSET,
        image_output: Decimal | None | UnsetType = UNSET,
        requests: dict[str, Decimal] | UnsetType = UNSET,
        long_context: LongContext | None | UnsetType = UNSET,
        tier: Literal["standard", "batch", "flex", "priority", "fast", "regional"] | None | UnsetType = UNSET,
        valid_from: date | None | UnsetType = UNSET,
        valid_until: date | None | UnsetType = UNSET,
        currency: str | UnsetType = UNSET,
        usd: Decimal | None | UnsetType = UNSET,
        aliases: tuple[str, ...] | UnsetType = UNSET,
        source: str | UnsetType = UNSET,
        confidence: Literal["published", "contract", "derived", "estimated"] | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        unusual: bool | UnsetType = UNSET,
    ) -> PriceChange:
        """Set what every project pays that has no price of its own.

        Args:
            provider: As spans name it: `openai`, `anthropic` …
            model: Name, or a pattern with `*` for any characters; with a factor `*` alone is every model of the
                provider.
            factor: `0.88` is 12 % off what would be paid without this price, tools included; then there are no
                other amounts.
            input: Text that is neither cached nor written to a cache; full prices need it.
            output: Text, without reasoning; full prices need it.
            cache_read: Input from the provider's cache; null: as other input.
            cache_write: Input put into it for up to 30 minutes; null: as other input.
            cache_write_1h: Input put into it for an hour; null: such calls are unpriced.
            cache_write_12h: Input put into it for 12 hours; null: such calls are unpriced.
            reasoning: Null: as the output.
            audio_input: Null: such calls are unpriced.
            audio_output: Null: such calls are unpriced.
            audio_cache_read: Null: such calls are unpriced.
            image_input: Null: as the input.
            image_output: Null: such calls are unpriced.
            requests: Per use of a tool of the provider: `web_search` …
            long_context: Other rates for calls whose input is longer than a threshold.
            tier: Null: full prices are those of `standard`, a factor holds for every tier.
            valid_from: First day, in UTC; null: today. A later day is a planned change, an earlier one touches
                what is stored only by rerating it.
            valid_until: First day on which it no longer holds; null: until the next of the same model begins,
                or it is removed.
            currency: Of all amounts here, in three letters.
            usd: What one unit of the currency is worth in dollars; null: as the book says for the day of the
                call.
            aliases: Other names of the model.
            source: Who says so: a contract's number, a page.
            confidence: How sure it is: published, contract, derived or estimated.
            note: For whoever reads it later.
            unusual: Set it although it is far from what the book says or from what models cost: checked, and
                meant so.
        """
        return self._transport.call(
            "POST",
            "/prices",
            PriceChange,
            path={},
            body={
                "provider": provider,
                "model": model,
                "factor": factor,
                "input": input,
                "output": output,
                "cache_read": cache_read,
                "cache_write": cache_write,
                "cache_write_1h": cache_write_1h,
                "cache_write_12h": cache_write_12h,
                "reasoning": reasoning,
                "audio_input": audio_input,
                "audio_output": audio_output,
                "audio_cache_read": audio_cache_read,
                "image_input": image_input,
                "image_output": image_output,
                "requests": requests,
                "long_context": long_context,
                "tier": tier,
                "valid_from": valid_from,
                "valid_until": valid_until,
                "currency": currency,
                "usd": usd,
                "aliases": aliases,
                "source": source,
                "confidence": confidence,
                "note": note,
                "unusual": unusual,
            },
        )

    def take(self, content: RawBody, *, force: bool = False) -> Refresh:
        """Take a price book from a file in TOML, where the server cannot reach one.

        Args:
            force: Take a book that is older than the one in force, to go back.
            content: The raw bytes, a file, or chunks.
        """
        return self._transport.call("PUT", "/prices/book", Refresh, path={}, query={"force": force}, raw=content)

    def versions(self, *, cursor: str | None = None, limit: int = 50) -> Page[BookVersion]:
        """List the price books that were in force some time; spans name theirs, and each is kept.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET", "/prices/versions", Page[BookVersion], path={}, query={"cursor": cursor, "limit": limit}
        )
