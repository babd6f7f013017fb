"""`gimbal traces tail`: what comes, line by line, until interrupted.

The CLI loads this and hands in the app of the group; everything else about traces is an operation.
"""

import importlib
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.axis.traces.finding_model import Arrived, TailAnswer
from gimbal.axis.traces.model import TraceSummary
from gimbal.kernel.errors import Busy, Unavailable
from gimbal.kernel.money import format_money

# Seconds that one call waits at the server, and how long pauses grow while it does not answer.
_WAIT_S, _LONGEST_PAUSE_S = 10.0, 15.0
_REMEMBERED = 5_000
_NAME, _MODEL = 40, 28


def tail(
    *,
    status: Annotated[str | None, Parameter(help="Only traces that ended so: error, ok, cancelled or unset.")] = None,
    kind: Annotated[str | None, Parameter(help="Only roots of this kind: llm, chain, agent …")] = None,
    model: Annotated[str | None, Parameter(help="Only traces with a call of this model.")] = None,
    provider: Annotated[str | None, Parameter(help="Only traces of this provider.")] = None,
    feature: Annotated[str | None, Parameter(help="Only of this feature.")] = None,
    user: Annotated[str | None, Parameter(help="Only of this end user.")] = None,
    session: Annotated[str | None, Parameter(help="Only of this session.")] = None,
    text: Annotated[str | None, Parameter(help="Only roots whose name contains this.")] = None,
    endpoint: Annotated[str | None, Parameter(help="Only of this endpoint.")] = None,
    key: Annotated[str | None, Parameter(help="Only of calls with the API key of this id.")] = None,
    tag: Annotated[list[str] | None, Parameter(help="Only with this tag: team:search, or team.", negative="")] = None,
    unpriced: Annotated[str | None, Parameter(help="Only with a call without a cost, for this reason or any.")] = None,
    ref: Annotated[str | None, Parameter(help="Only traces that used this version.")] = None,
    attribute: Annotated[list[str] | None, Parameter(help="Only with this attribute: key:value.", negative="")] = None,
    search: Annotated[str | None, Parameter(help="Only with all of these words in what was said.")] = None,
    min_ms: Annotated[float | None, Parameter(help="Only traces that took at least so long.")] = None,
    max_ms: Annotated[float | None, Parameter(help="Only traces that took at most so long.")] = None,
    min_usd: Annotated[str | None, Parameter(help="Only traces that cost at least so much.")] = None,
    max_usd: Annotated[str | None, Parameter(help="Only traces that cost at most so much.")] = None,
    min_tokens: Annotated[int | None, Parameter(help="Only traces with at least so many tokens.")] = None,
    max_tokens: Annotated[int | None, Parameter(help="Only traces with at most so many tokens.")] = None,
    score: Annotated[list[str] | None, Parameter(help="Only with this score: helpful:<0.5.", negative="")] = None,
    scored_by: Annotated[str | None, Parameter(help="Only scores by human, judge, code or user.")] = None,
    count: Annotated[int | None, Parameter(help="End after so many traces.")] = None,
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON, one trace a line.", negative="", show_default=False)] = False,
) -> None:
    """Print traces as they come, one a line, until interrupted; a trace that changes is printed again.

    While the server does not answer it is asked again; what came meanwhile is printed then.
    """
    given = {
        "status": status, "kind": kind, "model": model, "provider": provider, "feature": feature, "user": user,
        "session": session, "text": text, "ref": ref, "attribute": attribute, "search": search, "min_ms": min_ms,
        "max_ms": max_ms, "min_usd": min_usd, "max_usd": max_usd, "min_tokens": min_tokens, "max_tokens": max_tokens,
        "score": score, "scored_by": scored_by, "endpoint": endpoint, "key": key, "tag": tag, "unpriced": unpriced,
    }  # fmt: skip
    asked = {name: value for name, value in given.items() if value is not None}
    # The client is a face, which stands above this room: it is reached as a script reaches it.
    with importlib.import_module("gimbal").Client(project=project) as client:
        for number, one in enumerate(follow(client, asked), 1):
            print(msgspec.json.encode(one).decode() if json else line(one.trace), flush=True)  # noqa: T201 - the result
            if number == count:
                return


def follow(client: Any, asked: dict[str, Any]) -> Iterator[Arrived]:
    """Yield what comes from now on, each news once. Raise what a server says of a question that is wrong."""
    told: OrderedDict[tuple[str, Any], None] = OrderedDict()
    answer: TailAnswer = client.traces.tail(**asked)
    pause = 0.0
    while True:
        try:
            answer = client.traces.tail(cursor=answer.cursor, wait=_WAIT_S, **asked)
        except (Busy, Unavailable) as problem:
            if not pause:
                _remark(f"{problem.message} Asked again until it answers.")
            pause = min(_LONGEST_PAUSE_S, max(1.0, pause * 2, problem.retry_after or 0))
            time.sleep(pause)
            continue
        if pause:
            _remark("It answers again.")
            pause = 0.0
        for one in answer.items:
            news = (one.trace.trace_id, one.stored)
            if news not in told:
                told[news] = None
                yield one
        while len(told) > _REMEMBERED:
            told.popitem(last=False)
        if answer.more:
            _remark("More came than is told here; `gimbal traces list` has all of it.")


def line(trace: TraceSummary) -> str:
    """Return a trace as one line of a terminal; nothing in it may move the cursor."""
    cost = "" if trace.cost is None and not trace.unpriced else format_money(trace.cost)
    if trace.unpriced:
        cost += f" +{trace.unpriced} unpriced"
    tokens = "" if trace.input_tokens is None else f"{trace.input_tokens + (trace.output_tokens or 0)} tok"
    shown = [
        trace.start.strftime("%H:%M:%S"),
        f"{trace.status:9}",
        f"{_cut(trace.name, _NAME):{_NAME}}",
        f"{trace.duration_us / 1000:9,.0f} ms",
        f"{tokens:>10}",
        f"{cost:>12}",
        f"{_cut(trace.model, _MODEL):{_MODEL}}",
        trace.trace_id,
    ]
    return "  ".join(shown)


def _cut(text: str, most: int) -> str:
    plain = "".join(character if character.isprintable() else "·" for character in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _remark(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - beside the result


def add(app: App) -> None:
    """Add the commands of this room to the app of its group."""
    app.command(tail)
