"""Candidates answered through the gateway: within the cap, stored as they come, and never asked twice for the same.

Answers are rows of `eval_results` under a name of the optimisation and the candidate; those of earlier evaluations with the
same content are taken as they are. What reflectors said is in the catalog.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import blake3
import msgspec
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.evals import reading
from gimbal.axis.evals.judging import foreseen_judging
from gimbal.axis.evals.model import MOST_REPEATS, EvaluationOptions, EvaluationResult, Example
from gimbal.axis.evals.recall import Recall
from gimbal.axis.evals.results import SPENT, TABLE, Ask
from gimbal.axis.evals.running import Progress, Running, check_cap
from gimbal.axis.evals.target import TARGETS, Foreseen
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.tables import insert_missing
from gimbal.engines.storage.writer import Writer
from gimbal.generative.gateway.call import Attribution
from gimbal.generative.gateway.complete import complete
from gimbal.generative.gateway.foreseeing import foreseen
from gimbal.generative.gateway.optimising.candidates import Genome, Made, Refused, Shot, Start, escaped, shown
from gimbal.generative.gateway.optimising.marking import Objective
from gimbal.generative.gateway.optimising.model import Optimisation, Row
from gimbal.generative.gateway.optimising.searching import Exhausted
from gimbal.generative.gateway.optimising.store import optimisations, reflections
from gimbal.generative.gateway.optimising.target import FEATURE, KIND, filled
from gimbal.generative.prompts.model import PromptManifest, PromptMessage, PromptParams, format_messages
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.money import ZERO, format_money

_REFLECTION_TOKENS = 4_096
_ATTEMPTS = 3
_LONGEST_WAIT_S = 30.0
_LONGEST_SAID = 100_000
_GOOD = 1 - 1e-9


def version_of(ctx: Context, start: Version, made: Made) -> Version:
    """Return a candidate as what a target is called with; it has the number 0, unless it is the start."""
    same = made.digest == start.digest
    return msgspec.structs.replace(
        start,
        kind=KIND,
        number=start.number if same else 0,
        digest=made.digest,
        manifest=start.manifest if same else msgspec.to_builtins(made.manifest),
        created_at=ctx.now(),
    )


async def foreseen_reflection(ctx: Context, start: Version, model: str, texts: Sequence[str]) -> Foreseen:
    """Tell what one call of a reflector costs: it is a prompt, too."""
    messages = tuple(PromptMessage(role="user", content=escaped(text)) for text in texts)
    manifest = PromptManifest(messages=messages, model=model, params=PromptParams(max_tokens=_REFLECTION_TOKENS))
    return await foreseen(ctx, msgspec.structs.replace(start, manifest=msgspec.to_builtins(manifest)), [])


class Desk:
    """Answers for one optimisation; `open` first."""

    def __init__(
        self,
        ctx: Context,
        optimisation: Optimisation,
        start: Start,
        version: Version,
        examples: Sequence[Example],
        objective: Objective,
        proof_calls: int,
    ) -> None:
        """`proof_calls` are those that money is kept for while the search goes on."""
        self._ctx = ctx
        self._of = optimisation
        self._options = optimisation.options
        self._start = start
        self._version = version
        self._examples = {example.id: (place, example) for place, example in enumerate(examples)}
        self._objective = objective
        self._proof_calls = proof_calls
        self._searching = True
        self._known: dict[str, dict[tuple[str, int], EvaluationResult]] = {}
        self._touched: set[tuple[str, str, int]] = set()
        self._reflected: set[str] = set()
        self._usual = self._most = ZERO
        self._judging: Decimal | None = None
        """US dollars that judging an answer cost at most; None before one was judged."""
        self.spent = ZERO
        """US dollars, those of earlier attempts among them."""
        self.costs: dict[str, Decimal | None] = {}
        """US dollars of what was answered for this optimisation, by digest of the candidate; None when one is not known."""

    async def open(self) -> None:
        """Read what earlier attempts have spent."""
        rows = await self._ctx.get(Columns).query(
            f"SELECT evaluation_id, sum({SPENT}) AS spent FROM {TABLE} FINAL "
            "WHERE project = {project:String} AND startsWith(evaluation_id, {id:String}) GROUP BY evaluation_id",
            {"project": self._ctx.project or "default", "id": f"{self._of.id}."},
        )
        async with self._ctx.get(Catalog).read() as tx:
            query = sa.select(reflections.c.cost).where(reflections.c.optimisation_id == self._of.id)
            said = [row.cost for row in (await tx.execute(query)).all()]
        self.spent = sum((row["spent"] for row in rows), ZERO) + sum((cost for cost in said if cost is not None), ZERO)

    @property
    def calls(self) -> int:
        """Answers and reflections that were needed, however they were come by."""
        return len(self._touched) + len(self._reflected)

    def prove(self) -> None:
        """End the search: what was kept of the money for the proof may be spent now."""
        self._searching = False

    def _cap(self) -> Decimal | None:
        cap = self._options.max_cost
        if cap is None or not self._searching:
            return cap
        return max(cap - self._usual * self._proof_calls - self._most, ZERO)

    def _count(self, more: int) -> None:
        most = self._options.max_calls
        if self._searching and most is not None and self.calls + more > most:
            raise Exhausted(f"The {most:,} calls of the search are used up.")

    async def answers(self, genome: Genome, ids: Sequence[str], *, repeats: int = 1) -> list[EvaluationResult]:
        """Return a candidate's answers to examples; raise Exhausted where money or calls end, Refused for no prompt."""
        made = self._start.make(genome)
        run_id = f"{self._of.id}.{made.digest[3:35]}"
        if run_id not in self._known:
            await self._read(run_id, made)
        wanted = [(name, repeat) for name in ids for repeat in range(repeats)]
        new = [(run_id, *one) for one in wanted if (run_id, *one) not in self._touched]
        self._count(len(new))
        self._touched.update(new)
        asks = [
            Ask(position=place * MOST_REPEATS + repeat, repeat=repeat, example=example)
            for name, repeat in wanted
            if (name, repeat) not in self._known[run_id]
            for place, example in [self._examples[name]]
        ]
        if asks:
            await self._ask(run_id, made, asks)
        return [self._known[run_id][one] for one in wanted]

    async def _read(self, run_id: str, made: Made) -> None:
        rows = await reading.every(self._ctx.get(Columns), self._ctx, run_id)
        # What the cap kept from being judged is asked for again, and taken from there.
        self._known[run_id] = {(row.example_id, row.repeat): row for row in rows if row.judged}
        asked = [row for row in rows if not row.cached]
        costs = [row.cost for row in asked if row.cost is not None]
        # What failed was most often not billed, and says nothing; a part of what was is no cost.
        whole = len(costs) == sum(row.cost is not None or not row.error for row in asked)
        self.costs[made.digest] = sum(costs, ZERO) if whole else None

    async def _ask(self, run_id: str, made: Made, asks: Sequence[Ask]) -> None:
        """Have answers made and stored; what they cost counts also where the money ended in the middle."""
        ctx = self._ctx
        version = version_of(ctx, self._version, made)
        foreseen = await TARGETS.get(KIND).foresee(ctx, version, [ask.example for ask in asks])
        options = EvaluationOptions(
            concurrency=self._options.concurrency, timeout_s=self._options.timeout_s, max_cost=self._cap()
        )
        examples = [ask.example for ask in asks]
        judges = (
            await foreseen_judging(ctx, self._objective.scorers, examples) if options.max_cost is not None else None
        )
        check_cap(options, foreseen, judges)
        self._usual, self._most = max(self._usual, foreseen.cost or ZERO), max(self._most, foreseen.most or ZERO)

        async def tell(_: Progress) -> None:
            pass

        running = Running(
            ctx, run_id, version, self._objective.scorers, options, writer=ctx.get(Writer), foreseen=foreseen,
            recall=Recall(ctx, foreseen.identity, asks) if foreseen.identity else None, tell=tell, judges=judges,
            before=reading.Spending(places=set(), spent=self.spent, judges=ZERO, judging=self._judging),
        )  # fmt: skip
        before = set(self._known[run_id])
        try:
            await running.go(asks, 0)
            running.check()
        finally:
            await self._read(run_id, made)
            fresh = [row for key, row in self._known[run_id].items() if key not in before]
            costs = [row.cost for row in fresh if row.cost is not None and not row.cached]
            judges = [row.judge_cost or ZERO for row in fresh]
            self.spent = running.spent
            if fresh:
                self._judging = max(self._judging or ZERO, *judges)
                answer = sum(costs, ZERO) / len(costs) if costs else ZERO
                self._usual = max(self._usual, answer + sum(judges, ZERO) / len(fresh))
        if running.stopped:
            raise Exhausted(running.stopped)

    async def marks(self, genome: Genome, ids: Sequence[str]) -> Mapping[str, float]:
        """Return the mark of each example that has one; raise Refused where not one call was answered."""
        answers = await self.answers(genome, ids)
        if all(row.error for row in answers):
            raise Refused("no answer")
        return self._objective.by_example(answers)

    async def rows(self, genome: Genome, ids: Sequence[str]) -> Sequence[Row]:
        """Return what a reflector sees of answers."""
        found: list[Row] = []
        for answer in await self.answers(genome, ids):
            mark = self._objective.of(answer)
            found.append(
                Row(
                    example=answer.example_id,
                    input=answer.input,
                    expected=answer.expected,
                    answer=answer.text or answer.error or ("" if answer.value is None else str(answer.value)),
                    mark=mark or 0.0,
                    why=self._objective.why(answer),
                )
            )
        return found

    async def shots(self, genome: Genome) -> Sequence[Shot]:
        """Return examples that can be shown: with what is expected, or else with an answer that got the full mark."""
        place = self._start.question
        if place is None:
            return []
        manifest = self._start.make(genome).manifest
        found: list[Shot] = []
        ids = self._of.split.shots
        answers = await self.answers(genome, ids) if ids else []
        for answer in sorted(answers, key=lambda row: -(self._objective.of(row) or 0.0)):
            mark = self._objective.of(answer)
            # With its markers: an example without them teaches to leave them out.
            own = (answer.marked or answer.text) if mark is not None and mark >= _GOOD and not answer.error else None
            best = own or _expected(answer.expected)
            user = await self._question(manifest, place, answer.input)
            said = None if best is None else shown(best)
            if user is not None and said is not None:
                found.append(Shot(example=answer.example_id, user=user, assistant=said))
        return found

    async def _question(self, manifest: PromptManifest, place: int, given: Mapping[str, object]) -> str | None:
        """Return the question of an example as the model would get it; None where it cannot be filled."""
        try:
            values = (await filled(self._ctx, manifest, given)).values
            return shown(format_messages(manifest, values)[place].content)
        except GimbalError:
            return None

    async def reflect(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return what the reflector says to this; what it said before is not asked for again."""
        key = blake3.blake3(msgspec.json.encode([self._of.reflector, list(messages)])).hexdigest()[:32]
        if key not in self._reflected:
            self._count(1)
            self._reflected.add(key)
        # Also what another optimisation was told: with the same seed a new one goes on where one stopped at its cap.
        mine = sa.select(optimisations.c.id).where(optimisations.c.project == (self._ctx.project or "default"))
        query = sa.select(reflections.c.said).where(
            reflections.c.key == key, reflections.c.optimisation_id.in_(mine), reflections.c.said != ""
        )
        async with self._ctx.get(Catalog).read() as tx:
            known = (await tx.execute(query.order_by(reflections.c.at).limit(1))).scalar()
        if known is not None:
            return str(known)
        await self._check_money([message["content"] for message in messages])
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._reflected_now(key, messages)
            except TimeoutError:
                break
            except GimbalError as problem:
                if problem.retry_after is None or attempt == _ATTEMPTS:
                    break
                await asyncio.sleep(min(problem.retry_after, _LONGEST_WAIT_S))
        raise Refused("the reflector failed")

    async def _reflected_now(self, key: str, messages: Sequence[Mapping[str, str]]) -> str:
        ctx = self._ctx
        async with asyncio.timeout(self._options.timeout_s):
            found = await complete(
                ctx,
                model=self._of.reflector,
                messages=messages,
                params={"max_tokens": _REFLECTION_TOKENS},
                attribution=Attribution(feature=FEATURE),
            )
        said = found.text[:_LONGEST_SAID].encode(errors="replace").decode()
        values = {
            "optimisation_id": self._of.id, "key": key, "said": said, "cost": found.cost, "trace_id": found.trace_id,
            "at": ctx.now(),
        }  # fmt: skip
        async with ctx.get(Catalog).write(ctx) as tx:
            await insert_missing(tx, reflections, values)
        self.spent += found.cost or ZERO
        if found.cost is None and self._options.max_cost is not None:
            raise Exhausted("What a reflection cost is not known, so the cap cannot be held.")
        return said

    async def _check_money(self, texts: Sequence[str]) -> None:
        cap = self._cap()
        if cap is None:
            return
        found = await foreseen_reflection(self._ctx, self._version, self._of.reflector, texts)
        dearest = found.most if found.most is not None else found.cost
        if dearest is None:
            raise Exhausted(f"What a reflection costs is not known: {found.unpriced}")
        if self.spent + dearest > cap:
            left = max(cap - self.spent, ZERO)
            raise Exhausted(
                f"The search has {format_money(left)} left, and a reflection may cost {format_money(dearest)}."
            )


def _expected(expected: Mapping[str, Any]) -> str | None:
    """Return an answer that would be right, where the example says one."""
    several = expected.get("answers")
    first: Any = several[0] if isinstance(several, list) and several else None
    found: Any = expected.get("answer") or first
    return found if isinstance(found, str) else None
