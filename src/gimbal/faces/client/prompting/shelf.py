"""What references to prompts mean now, in memory, for one project of one server; a thread follows what may change.

The first use of a reference asks the server, once for however many threads; later ones read memory. The thread asks for
the newest moves of aliases, one small request for all prompts together, and fetches anew what has moved. What the server
refuses is refused; while it does not answer, what is there is used, also from disk, and one warning says so.
"""

import contextlib
import logging
import os
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

from gimbal.faces.client.client import Client
from gimbal.faces.client.courier import quiet
from gimbal.faces.client.generated.assets import Assets
from gimbal.faces.client.generated.prompts import Prompts
from gimbal.faces.client.prompting.copies import Copies, Copy
from gimbal.faces.client.transport import Transport
from gimbal.generative.prompts.model import PromptView
from gimbal.kernel.errors import Busy, GimbalError, NotFound, NotReady
from gimbal.kernel.refs import AtAlias, AtDigest, AtVersion, Latest, Ref

_log = logging.getLogger("gimbal")
FOLLOW_S = 1.0
"""How often the server is asked while prompts are used."""
IDLE_S = 10.0
"""How often it is asked when none has been used for as long."""
WHOLE_S = 30.0
"""How often everything is fetched anew, whatever the server says of moves."""
CONFIRM_S = 60.0
"""How often the copies on disk are noted to be true still."""
_ANSWER_S = 5.0
_LONGEST_REST_S = 60.0
_MOVES = 20
# The server's clock may be behind ours: what an alias meant a moment ago might still be decided there.
_SKEW = timedelta(minutes=1)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Held:
    """A reference and what it means now."""

    def __init__(self, ref: Ref, view: PromptView, shelf: "Shelf | None" = None) -> None:
        self.ref = ref
        self.view = view
        self.refusal: GimbalError | None = None
        self.used = 0.0
        self._shelf = shelf

    def now(self) -> PromptView:
        """Return the version that it means; raise what the server answered when it last refused to say."""
        if self._shelf is not None:
            self.used = time.monotonic()
            self._shelf.use()
        if self.refusal is not None:
            raise self.refusal.with_traceback(None)
        return self.view


class Shelf:
    """The prompts that a process uses of one project of one server."""

    def __init__(self, client: Client) -> None:
        to = client.transport
        # A connection of its own: it outlives the client's, and never makes a caller wait long who has a copy.
        hasty = Transport(to.url, to.key, to.project, timeout=min(to.timeout, _ANSWER_S), patience=0)
        self._prompts, self._assets = Prompts(hasty), Assets(hasty)
        self._url = to.url
        self._copies = Copies(to.url, to.project)
        self._held: dict[str, Held] = {}
        self._moves: frozenset[str] = frozenset()
        self._whole_after = self._confirm_after = 0.0
        self.forked()

    def forked(self) -> None:
        """Begin without threads: those of a parent are not here, and its locks might be held for ever."""
        self._lock = threading.Lock()
        self._flights: dict[str, Future[Held]] = {}
        self._wake = threading.Event()
        self._following = self._idle = False
        self._trouble: Exception | None = None

    def find(self, ref: Ref, client: Client) -> Held:
        """Return what is held of a reference, fetched on first use.

        Raise what the server answers; Unavailable and its like when it is away and there is no copy.
        """
        key = str(ref)
        held = self._held.get(key)
        if held is not None and held.refusal is None:
            return held
        with self._lock:
            # Looked at again: whoever fetched it meanwhile has left no flight behind.
            held = self._held.get(key)
            if held is not None and held.refusal is None:
                return held
            flight = self._flights.get(key)
            mine = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if mine:
            try:
                found = self._fetched(ref, client)
                if held is None:
                    held = self._held[key] = found
                else:
                    held.view, held.refusal = found.view, None
                flight.set_result(held)
            except BaseException as problem:
                flight.set_exception(problem)
                raise
            finally:
                with self._lock:
                    self._flights.pop(key, None)
        return flight.result()

    def use(self) -> None:
        """See to it that what is used is followed."""
        if not self._following:
            self._start()
        elif self._idle:
            self._idle = False
            self._wake.set()

    def _fetched(self, ref: Ref, client: Client) -> Held:
        copy = self._copies.read(ref)
        if fixed := _is_fixed(ref):
            view = copy.view if copy else self._asked(ref, client.prompts)
        else:
            view = self._asked(ref, client.prompts) if copy is None else self._or_copy(ref, copy)
        if copy is None:
            self._copies.write(ref, view)
        return Held(ref, view, None if fixed else self)

    def _asked(self, ref: Ref, prompts: Prompts) -> PromptView:
        try:
            with quiet[0]():
                return prompts.show(ref)
        except GimbalError as problem:
            if _refuses(problem):
                raise
            raise type(problem)(
                f"{problem.message.rstrip('.')}, and there is no copy of {ref} from before.",
                where=problem.where,
                todo=problem.todo,
                retry_after=problem.retry_after,
            ) from None

    def _or_copy(self, ref: Ref, copy: Copy) -> PromptView:
        """Return what the server says, or the copy where it does not answer."""
        # Where it is known to be away, nobody waits for it again: the thread tells when it is back.
        trouble = self._trouble if self._following else None
        if trouble is None:
            try:
                with quiet[0]():
                    view = self._prompts.show(ref)
            except GimbalError as problem:
                if _refuses(problem):
                    self._dismiss(ref, problem)
                    raise
                trouble = self._trouble = problem
            else:
                if view == copy.view:
                    self._copies.confirm(ref)
                else:
                    self._copies.write(ref, view)
                return view
        # What has moved since the copy was made is not among the moves that the thread has not seen yet.
        self._whole_after = 0.0
        self._start()
        ago = _ago(time.time() - copy.at)
        _log.warning("%s is used as the server said %s ago, %s: %s", ref, ago, copy.view.ref, trouble)
        return copy.view

    def _dismiss(self, ref: Ref, problem: GimbalError) -> None:
        if isinstance(problem, NotFound):
            self._copies.forget(ref)

    def _start(self) -> None:
        with self._lock:
            if self._following:
                return
            # At the end of a program there are no new threads; then nothing moves any more.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._follow, name="gimbal-prompts", daemon=True).start()
                self._following = True

    def _follow(self) -> None:
        rest = 0.0
        while True:
            self._wake.wait(max(self._pace(), rest))
            self._wake.clear()
            try:
                with quiet[0]():
                    self._look()
            except Exception as problem:  # noqa: BLE001 - the thread must live
                if self._trouble is None:
                    _log.warning("prompts are used as they are until the server at %s answers: %s", self._url, problem)
                self._trouble = problem
                after = problem.retry_after if isinstance(problem, GimbalError) else None
                rest = min(max(2 * rest, FOLLOW_S, after or 0.0), IDLE_S if after is None else _LONGEST_REST_S)
            else:
                self._trouble, rest = None, 0.0

    def _followed(self) -> list[Held]:
        return [held for held in self._held.copy().values() if not _is_fixed(held.ref)]

    def _pace(self) -> float:
        # Said first: whoever uses one from now on wakes the thread.
        self._idle = True
        if time.monotonic() - max((held.used for held in self._followed()), default=0.0) < IDLE_S:
            self._idle = False
            return FOLLOW_S
        return IDLE_S

    def _look(self) -> None:
        """Fetch anew what may mean another version; raise when the server does not answer."""
        now = time.monotonic()
        whole = now >= self._whole_after
        moves, moved = self._moves, set[str]()
        try:
            page = self._assets.moves(limit=_MOVES).items
        except GimbalError as problem:
            if not _refuses(problem):
                raise
            whole = True
        else:
            moves = frozenset(move.id for move in page)
            # None that is known: more have moved than a page tells.
            whole = whole or (moves.isdisjoint(self._moves) and moves != self._moves)
            moved = {move.name for move in page if move.kind == "prompt" and move.id not in self._moves}
        for held in self._followed():
            newest = isinstance(held.ref.selector, Latest) and now - held.used < IDLE_S
            if whole or newest or held.ref.name in moved or held.refusal is not None:
                self._renew(held)
        # Last: what was interrupted is looked at again.
        self._moves = moves
        if whole:
            self._whole_after = now + WHOLE_S
        if now >= self._confirm_after:
            self._confirm_after = now + CONFIRM_S
            for held in self._followed():
                if held.refusal is None:
                    self._copies.confirm(held.ref)

    def _renew(self, held: Held) -> None:
        try:
            view = self._prompts.show(held.ref)
        except GimbalError as problem:
            if not _refuses(problem):
                raise
            held.refusal = problem
            self._dismiss(held.ref, problem)
            return
        before, held.view, held.refusal = held.view, view, None
        if view != before:
            self._copies.write(held.ref, view)


def _is_fixed(ref: Ref) -> bool:
    """Tell whether a reference means the same version for ever."""
    chosen = ref.selector
    if isinstance(chosen, AtAlias):
        return chosen.at is not None and chosen.at < datetime.now(UTC) - _SKEW
    return isinstance(chosen, AtVersion | AtDigest)


def _refuses(problem: GimbalError) -> bool:
    """Tell whether an error is the server's word on the request, and none that passes by itself."""
    return problem.status < 500 and not isinstance(problem, Busy | NotReady)


def _ago(seconds: float) -> str:
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{max(seconds, 0.0) // size:.0f} {unit}"


class _Shelves:
    """Those of this process, one for each server, key and project: what one key may see another may not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str], Shelf] = {}

    def of(self, client: Client) -> Shelf:
        """Return the shelf of the client's server, key and project."""
        to = client.transport
        key = (to.url, to.key, to.project)
        if (found := self._known.get(key)) is not None:
            return found
        with self._lock:
            if key not in self._known:
                self._known[key] = Shelf(client)
            return self._known[key]

    def forked(self) -> None:
        """Begin in a child."""
        self._lock = threading.Lock()
        for shelf in self._known.values():
            shelf.forked()


shelves = _Shelves()
os.register_at_fork(after_in_child=shelves.forked)
