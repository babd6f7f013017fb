"""`gimbal pricing rerate --from DAY`: ask for history to be priced anew, wait, and show what it came to.

The work is an operation and its job (`pricing.rerate`, in the ledger); the CLI loads this for the group `pricing`.
"""

import importlib
import sys
import time
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.kernel.clock import parse_time
from gimbal.kernel.errors import NotReady
from gimbal.kernel.money import format_money

_PAUSE_S = 0.5
_OPEN = frozenset({"queued", "running", "parked"})
_MOST_LINES = 200


def rerate(
    *,
    from_: Annotated[str, Parameter(name="--from", help="Calls that began at or after this: 2026-11-01.")],
    reason: Annotated[str, Parameter(help="Why, for everybody who meets the change later.")],
    to: Annotated[str | None, Parameter(help="And before this; up to now when left out.")] = None,
    provider: Annotated[str | None, Parameter(help="Only calls of this provider.")] = None,
    model: Annotated[str | None, Parameter(help="Only calls of this model, or that fit a pattern with `*`.")] = None,
    dry_run: Annotated[bool, Parameter(help="Only tell what would change.", negative="")] = False,
    allow_unpriced: Annotated[
        bool, Parameter(help="Let calls lose a cost that the book has no price for now.", negative="")
    ] = False,
    wait: Annotated[bool, Parameter(help="Wait until it is done.")] = True,
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Price the calls of a stretch of time anew, by the prices that hold now; what they cost before is kept.

    It goes on where it was when a server or worker dies, and a second time it changes nothing.
    """
    # The client is a face, which stands above this room: it is reached as a script reaches it.
    with importlib.import_module("gimbal").Client(project=project) as client:
        found = client.pricing.rerate(
            from_=parse_time(from_, "from"),
            to=None if to is None else parse_time(to, "to"),
            provider=provider,
            model=model,
            reason=reason,
            dry_run=dry_run,
            allow_unpriced=allow_unpriced,
        )
        while wait and found.status in _OPEN:
            time.sleep(_PAUSE_S)
            found = client.pricing.rerating(found.id)
    print(msgspec.json.encode(found, enc_hook=str).decode() if json else text(found))  # noqa: T201 - the result
    if wait and found.status != "succeeded":
        sys.stdout.flush()
        raise NotReady(
            f"The rerating has {found.status}.",
            kept="what it had changed up to there",
            todo=f"See `gimbal jobs show {found.job_id}`; `gimbal jobs retry` lets it go on.",
        )


def text(found: Any) -> str:
    """Return a rerating as a person reads it: a line for each day and model, and the sums."""
    rows = [("day", "model", "calls", "old", "new", "difference", "newly priced", "no price now")]
    rows += [
        (
            f"{line.day}",
            f"{line.provider}/{line.model}",
            f"{line.calls:,}",
            _money(line.old),
            _money(line.new),
            format_money(line.difference),
            f"{line.priced:,}" if line.priced else "",
            f"{line.unpriced:,}" if line.unpriced else "",
        )
        for line in found.lines[:_MOST_LINES]
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    told = [
        "  ".join(_laid(cell, width, place) for place, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    if len(found.lines) > _MOST_LINES:
        told.append(f"… {len(found.lines) - _MOST_LINES:,} more, with --json")
    told = [row.rstrip() for row in told] if found.lines else []
    would = "would change" if found.dry_run else "changed"
    told.append(
        f"{found.status}: {found.changed:,} of {found.seen:,} calls {would}, from {_money(found.old)} to {_money(found.new)} "
        f"by the book {found.book or '(not begun)'}; rerating {found.id}"
    )
    if found.kept:
        told.append(
            f"NOTE: {found.kept:,} calls have a cost but no price now. They keep it; --allow-unpriced lets them lose it."
        )
    lost = sum(line.unpriced for line in found.lines)
    if lost:
        told.append(f"NOTE: {lost:,} calls {'would lose' if found.dry_run else 'lost'} their cost: they are unpriced.")
    return "\n".join(told)


def _laid(cell: str, width: int, place: int) -> str:
    return f"{cell:<{width}}" if place < 2 else f"{cell:>{width}}"


def _money(amount: Any) -> str:
    return "—" if amount is None else format_money(amount)


def add(app: App) -> None:
    """Put the room's own commands into the app of the group."""
    app.command(rerate)
