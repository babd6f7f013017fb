"""Evaluating a function: it is registered, called here, its answers recorded in the background, and judged by the server.

What is recorded stays: interrupted, the run is left open, and `resume` asks only what is missing.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.answers import MOST_ANSWERS, NOT_ANSWERED, RecordedAnswer
from gimbal.axis.evals.model import MOST_AT_ONCE, EvaluationRun, Example
from gimbal.faces.client import tracing
from gimbal.faces.client.client import Client
from gimbal.faces.client.evaluating.calls import Calls, Question
from gimbal.faces.client.evaluating.naming import register
from gimbal.faces.client.evaluating.returned import Arguments
from gimbal.faces.client.outbox import PASSING, Outbox
from gimbal.kernel.errors import BadInput, Conflict, GimbalError

OnProgress = Callable[[int, int], None]
CLIENT = "gimbal for Python"
PATIENCE_S = 300.0
"""Seconds that answers wait for a server that is away before the evaluation is given up."""
_PER_BATCH = 4 * 2**20
_WAITING = 64 * 2**20
_LEAST = _PER_BATCH // MOST_ANSWERS + 1
_LOOK_S = 0.2
_PAGE = 500
_log = logging.getLogger("gimbal")
_encoder = msgspec.json.Encoder(decimal_format="string")


class _Kept(msgspec.Struct, frozen=True):
    """An answer on its way, and how many bytes it is."""

    answer: RecordedAnswer
    weight: int


def evaluate_function(
    client: Client,
    suite: str,
    function: Callable[..., Any],
    *,
    repeats: int | None = None,
    concurrency: int = 4,
    timeout_s: float = 300.0,
    resume: str = "",
    on_progress: OnProgress | None = None,
    on_open: Callable[[EvaluationRun], None] | None = None,
) -> EvaluationRun:
    """Have a function answer a suite here; return its run as it is once its answers are handed over to be judged.

    Raise BadInput for a function that takes nothing of what the suite has, or another one than `resume` is of.
    """
    if not 1 <= concurrency <= MOST_AT_ONCE:
        raise BadInput(f"The concurrency is 1 to {MOST_AT_ONCE}.", where="concurrency", todo="Choose another.")
    if not timeout_s > 0:
        raise BadInput("A time limit is more than 0 seconds.", where="timeout_s", todo="Choose another.")
    version = register(client, function)
    if resume:
        run = _reopened(client, resume, version)
        if not run.open:
            return run
    else:
        run = client.evaluations.open(suite=suite, subject=str(version.ref), repeats=repeats, client=CLIENT)
    if on_open:
        on_open(run)
    examples = client.suites.examples(str(run.suite))
    try:
        Arguments(function).check(examples)
    except BadInput:
        if not resume:
            client.evaluations.cancel(run.id)
        raise
    questions = _missing(client, run, examples)
    name = version.name.rpartition("/")[2]
    return _Asking(client, run, on_progress).go(function, questions, name, concurrency=concurrency, timeout_s=timeout_s)


class _Asking:
    """The calls of one evaluation, and the way of their answers to the server."""

    def __init__(self, client: Client, run: EvaluationRun, on_progress: OnProgress | None) -> None:
        self._client = client
        self._run = run
        self._tell = on_progress
        self._refused: GimbalError | None = None

    def go(
        self,
        function: Callable[..., Any],
        questions: Sequence[Question],
        name: str,
        *,
        concurrency: int,
        timeout_s: float,
    ) -> EvaluationRun:
        """Ask, record, and hand over; interrupted or without a server, keep what is recorded and say how to go on."""
        outbox = recorder(self._send)
        calls = Calls(
            function,
            name=name,
            evaluation_id=self._run.id,
            concurrency=min(concurrency, max(len(questions), 1)),
            timeout_s=timeout_s,
            keep=lambda answer: outbox.add(weighed(answer)),
            client=self._client,
        )
        before = self._run.total - len(questions)
        try:
            calls.start(iter(questions))
            while not calls.wait(_LOOK_S) and self._refused is None:
                self._report(before + calls.done)
            if calls.failure is None:
                outbox.flush()
            # A refusal is raised once: where a call has heard it, flushing says nothing.
            if (problem := calls.failure or self._refused) is not None:
                raise problem  # noqa: TRY301 - the refusal, the interruption and this end alike
            self._report(before + calls.done)
        except Conflict:
            # Cancelled from elsewhere, say: what became of it is in the run.
            run = self._client.evaluations.show(self._run.id)
            if run.open:
                raise
            return run
        except BaseException as problem:
            calls.stop()
            with contextlib.suppress(Exception):
                outbox.flush(5.0)
            told = f"What is done is kept: gimbal.evaluate(…, resume={self._run.id!r}) goes on."
            _log.warning("The evaluation %s is left open. %s", self._run.id, told)
            problem.add_note(told)
            raise
        finally:
            calls.stop()
            outbox.close()
        # Costs and tokens of a call are those of its trace.
        with contextlib.suppress(GimbalError):
            tracing.flush(self._client, patience=10.0)
        return self._client.evaluations.finish(self._run.id)

    def _report(self, done: int) -> None:
        if self._tell:
            self._tell(done, self._run.total)

    def _send(self, batch: Sequence[_Kept]) -> None:
        try:
            self._client.evaluations.record(self._run.id, answers=[one.answer for one in batch])
        except PASSING:
            raise
        except GimbalError as problem:
            self._refused = problem
            raise


def recorder(send: Callable[[Sequence[_Kept]], None]) -> Outbox[_Kept]:
    """Return a queue of answers that is emptied in batches: of some MiB, and of no more answers than a call takes."""
    return Outbox(
        send,
        name="gimbal-answers",
        weigh=lambda one: one.weight,
        describe=lambda waiting: f"{sum(1 for _ in waiting)} answers",
        most=_WAITING,
        per_batch=_PER_BATCH,
        patience=PATIENCE_S,
    )


def weighed(answer: RecordedAnswer) -> _Kept:
    """Return an answer with the bytes that it is counted as."""
    return _Kept(answer, max(len(_encoder.encode(answer)), _LEAST))


def judged(
    client: Client, run: EvaluationRun, *, timeout: float, on_progress: OnProgress | None = None
) -> EvaluationRun:
    """Wait until a run that a job carries out has ended; return it as it is after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while run.status == "running" and not run.open and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        run = client.evaluations.show(run.id)
        if on_progress:
            on_progress(run.done, run.total)
    return run


def _reopened(client: Client, run_id: str, version: Version) -> EvaluationRun:
    run = client.evaluations.show(run_id)
    if run.subject != version.ref:
        raise BadInput(
            f"The evaluation {run_id} is of {run.subject}, and the function is {version.ref}.",
            where="resume",
            kept="the answers of before",
            todo="Evaluate it anew: answers of two versions say nothing of either.",
        )
    return client.evaluations.resume(run_id) if run.status in {"failed", "cancelled"} else run


def _missing(client: Client, run: EvaluationRun, examples: Iterable[Example]) -> list[Question]:
    """Return what nobody has answered yet."""
    found: set[tuple[str, int]] = set()
    if run.done:
        rows = client.every(client.evaluations.results, run.id, limit=_PAGE)
        found = {(row.example_id, row.repeat) for row in rows if row.error != NOT_ANSWERED}
    asked = ((example, repeat) for example in examples for repeat in range(run.repeats))
    return [Question(example=one, repeat=n) for one, n in asked if (one.id, n) not in found]
