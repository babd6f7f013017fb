"""Ledger: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.ledger.model import Budget, CostChange, DifferenceReport, Statement, Totals, UnpricedGroup
from gimbal.faces.client.group import Group
from gimbal.faces.client.transport import RawBody
from gimbal.kernel.pages import Page


class Ledger(Group):
    """What calls cost: totals, what is unpriced, providers' bills, budget lines."""

    def budgets(self, *, project: str | None = None) -> list[Budget]:
        """List the budget lines with what was spent so far and what that comes to. They are shown, not enforced."""
        return self._transport.call(
            "GET", "/projects/{project}/ledger/budgets", list[Budget], path={"project": project}
        )

    def changes(
        self,
        *,
        rerating: str | None = None,
        trace: str | None = None,
        span: str | None = None,
        day: date | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[CostChange]:
        """List costs that were changed afterwards, with what they were before, the calls that began last first.

        Args:
            rerating: Only of this rerating.
            trace: Only of this trace.
            span: Only of this span.
            day: Only of calls that began on this day of UTC.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/ledger/changes",
            Page[CostChange],
            path={"project": project},
            query={"rerating": rerating, "trace": trace, "span": span, "day": day, "cursor": cursor, "limit": limit},
        )

    def difference(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        provider: str | None = None,
        project: str | None = None,
    ) -> DifferenceReport:
        """Show providers' figures beside ours by day and model, with what likely explains the difference.

        Args:
            since: First day, in UTC; thirty days ago when left out.
            until: Up to this, today included when left out.
            provider: Only of this provider.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/ledger/difference",
            DifferenceReport,
            path={"project": project},
            query={"since": since, "until": until, "provider": provider},
        )

    def export(
        self,
        *,
        group: list[str] | None = None,
        every: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        where: list[str] | None = None,
        project: str | None = None,
    ) -> Iterator[bytes]:
        """Download the same as CSV; what is unknown is an empty cell.

        Args:
            group: Up to two of model, provider, feature, user, session, endpoint, key, tag, prompt, ref, kind,
                status, tag:KEY, attribute:KEY …
            every: Part the time, too: hour, day, week (from Monday) or month, in UTC.
            since: Only calls that began at or after this.
            until: And before this.
            where: Only calls with these values, as dimension=value: model=gpt-4o, feature=help,
                tag:team=search, attribute:tenant=acme.
        """
        return self._transport.download(
            "/projects/{project}/ledger/totals.csv",
            path={"project": project},
            query={"group": group, "every": every, "since": since, "until": until, "where": where},
        )

    def import_(
        self,
        content: RawBody,
        *,
        format: str,
        provider: str | None = None,
        account: str = "",
        filename: str = "",
        column: list[str] | None = None,
        project: str | None = None,
    ) -> Statement:
        """Import what a provider says of usage or costs; the same file, or the same line, counts once.

        A line that cannot be read is rejected with its number and the reason, the others are stored all at once.

        Args:
            format: openai-usage, openai-costs, anthropic-usage, anthropic-costs (JSON or CSV), or csv with
                columns.
            provider: Whose it is, where the format does not say.
            account: Which of several accounts with the same provider.
            filename: What the file was called.
            column: What a column of a csv means, as MEANING=COLUMN: day=Date, model=Model, cost=Amount …
            content: The raw bytes, a file, or chunks.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/ledger/statements",
            Statement,
            path={"project": project},
            query={"format": format, "provider": provider, "account": account, "filename": filename, "column": column},
            raw=content,
        )

    def remove_budget(self, name: str, *, project: str | None = None) -> None:
        """Remove a budget line.

        Args:
            name: Name of the line.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/ledger/budgets/{name}", type(None), path={"project": project, "name": name}
        )

    def remove_statement(self, id: str, *, project: str | None = None) -> None:
        """Remove a statement with its lines; lines that had given way to them do not come back.

        Args:
            id: Its id.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/ledger/statements/{id}", type(None), path={"project": project, "id": id}
        )

    def set_budget(
        self,
        *,
        name: str,
        amount: Decimal,
        period: Literal["day", "week", "month"],
        dimension: str | UnsetType = UNSET,
        value: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Budget:
        """Set a budget line; one with the same name is replaced. It is compared with, and stops nothing.

        Args:
            name: Short and unique in the project; setting it again changes the line.
            amount: US dollars for each period.
            period: Each day, week (from Monday) or month, in UTC.
            dimension: Only calls with a certain `value` in this: model, provider, feature, user, session …;
                empty: all.
            value: What the dimension must be; empty without a dimension.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/ledger/budgets",
            Budget,
            path={"project": project},
            body={"name": name, "amount": amount, "period": period, "dimension": dimension, "value": value},
        )

    def statements(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[Statement]:
        """List the statements that were imported, newest first.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/ledger/statements",
            Page[Statement],
            path={"project": project},
            query={"cursor": cursor, "limit": limit},
        )

    def totals(
        self,
        *,
        group: list[str] | None = None,
        every: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        where: list[str] | None = None,
        limit: int = 1000,
        project: str | None = None,
    ) -> Totals:
        """Sum up costs by dimension and time, with calls, what is unpriced, saved and wasted, and tokens.

        Args:
            group: Up to two of model, provider, feature, user, session, endpoint, key, tag, prompt, ref, kind,
                status, tag:KEY, attribute:KEY …
            every: Part the time, too: hour, day, week (from Monday) or month, in UTC.
            since: Only calls that began at or after this.
            until: And before this.
            where: Only calls with these values, as dimension=value: model=gpt-4o, feature=help,
                tag:team=search, attribute:tenant=acme.
            limit: How many rows at most, 1 to 100,000; the total has all of them.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/ledger/totals",
            Totals,
            path={"project": project},
            query={"group": group, "every": every, "since": since, "until": until, "where": where, "limit": limit},
        )

    def unpriced(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        project: str | None = None,
    ) -> list[UnpricedGroup]:
        """List calls without a cost by provider, model and reason, the most first, each with what to do about it.

        Args:
            since: Only calls that began at or after this.
            until: And before this.
            limit: How many groups at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/ledger/unpriced",
            list[UnpricedGroup],
            path={"project": project},
            query={"since": since, "until": until, "limit": limit},
        )
