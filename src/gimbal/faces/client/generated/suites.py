"""Suites: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.building.model import SuiteDraw
from gimbal.axis.evals.contaminating.model import ContaminationCheck
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.synthesis.model import Passage, Synthesis
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.faces.client.group import Group
from gimbal.kernel.refs import Ref


class Suites(Group):
    """Examples with the scorers that judge answers to them."""

    def add(
        self, ref: Ref | str, *, examples: list[Example], note: str | UnsetType = UNSET, project: str | None = None
    ) -> Version:
        """Add examples to the newest version of a suite, which makes its next version; scorers stay.

        Args:
            ref: Reference such as model:flights/delay@production.
            examples: At least one; none has the id of one that is there.
            note: A remark for people.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/suites/{ref}/examples",
            Version,
            path={"project": project, "ref": ref},
            body={"examples": examples, "note": note},
        )

    def contamination(
        self,
        ref: Ref | str,
        *,
        against: list[str] | UnsetType = UNSET,
        threshold: float | UnsetType = UNSET,
        n: int | UnsetType = UNSET,
        most: int | UnsetType = UNSET,
        project: str | None = None,
    ) -> ContaminationCheck:
        """Compare a suite's examples with other suites, prompts and datasets: the same, nearly the same, or standing in them.

        Also within the suite: examples that repeat another, and clusters that should be one. It is a job, whose result is the
        report; what cannot be read is told in it.

        Args:
            ref: Reference such as model:flights/delay@production.
            against: References of what to compare with, of any kind; without them the newest versions of all
                other suites, of all prompts and all datasets.
            threshold: Share of shingles, or of n-grams, in common from which on it counts.
            n: Words in a row by which an example is found inside a longer text.
            most: How many findings, and how many pairs inside of the suite, are listed; all are counted.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/suites/{ref}/contamination",
            ContaminationCheck,
            path={"project": project, "ref": ref},
            body={"against": against, "threshold": threshold, "n": n, "most": most},
        )

    def create(
        self,
        *,
        name: str,
        examples: list[Example],
        scorers: list[str | ScorerSetting],
        repeats: int | UnsetType = UNSET,
        task: str | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Version:
        """Store a suite of examples as a version; the same examples again are the same version.

        Args:
            name: Name of the asset: `help/questions`.
            examples: At least one; ids are unique.
            scorers: The scorers to apply: names, or names with parameters and a name of the suite's own.
            repeats: How often each example is asked; each time counts as one answer, not as one example.
            task: What to call where nobody says otherwise: `prompt:help/answer@production`.
            note: A remark for people.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/suites",
            Version,
            path={"project": project},
            body={
                "name": name,
                "examples": examples,
                "scorers": scorers,
                "repeats": repeats,
                "task": task,
                "note": note,
            },
        )

    def examples(self, ref: Ref | str, *, project: str | None = None) -> list[Example]:
        """List the examples of a suite version.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/suites/{ref}/examples", list[Example], path={"project": project, "ref": ref}
        )

    def from_traces(
        self,
        *,
        since: datetime | None | UnsetType = UNSET,
        until: datetime | None | UnsetType = UNSET,
        feature: str | None | UnsetType = UNSET,
        ref: str | None | UnsetType = UNSET,
        model: str | None | UnsetType = UNSET,
        status: str | None | UnsetType = UNSET,
        kind: str | None | UnsetType = UNSET,
        text: str | None | UnsetType = UNSET,
        user: str | None | UnsetType = UNSET,
        session: str | None | UnsetType = UNSET,
        provider: str | None | UnsetType = UNSET,
        endpoint: str | None | UnsetType = UNSET,
        api_key: str | None | UnsetType = UNSET,
        tag: list[str] | UnsetType = UNSET,
        attribute: list[str] | UnsetType = UNSET,
        search: str | None | UnsetType = UNSET,
        min_ms: float | None | UnsetType = UNSET,
        max_ms: float | None | UnsetType = UNSET,
        min_usd: Decimal | None | UnsetType = UNSET,
        max_usd: Decimal | None | UnsetType = UNSET,
        score: list[str] | UnsetType = UNSET,
        scored_by: str | None | UnsetType = UNSET,
        name: str,
        add: bool | UnsetType = UNSET,
        dry_run: bool | UnsetType = UNSET,
        most: int | UnsetType = UNSET,
        by: str | UnsetType = UNSET,
        allot: Literal["proportional", "equal"] | UnsetType = UNSET,
        seed: int | UnsetType = UNSET,
        span: str | UnsetType = UNSET,
        answers: bool | UnsetType = UNSET,
        good: list[str] | UnsetType = UNSET,
        correction: list[str] | UnsetType = UNSET,
        slice: str | UnsetType = UNSET,
        cluster: Literal["session", "user", "none"] | UnsetType = UNSET,
        near: float | UnsetType = UNSET,
        keep: list[str] | UnsetType = UNSET,
        scorers: list[str | ScorerSetting] | UnsetType = UNSET,
        repeats: int | None | UnsetType = UNSET,
        task: str | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> SuiteDraw:
        """Make a suite of traces: chosen like a list of them, freed of personal data and duplicates, drawn by a seed.

        Scores choose, too: what end users or experts judged, with their corrections as expected answers. It is a job, whose
        result tells what came, or, with `dry_run`, what would. The same question with the same seed on the same traces is the
        same version.

        Args:
            since: Started at or after this.
            until: Started before this.
            feature: Only of this feature. What Gimbal itself asked is left out unless this says so:
                `evaluation`, `scoring` …
            ref: Only traces that used prompt:help/answer@v2, or any prompt:help/answer.
            model: Only traces with a call of this model.
            status: Only traces that ended so: error when any span failed, else the root's ok, cancelled or
                unset.
            kind: Only roots of this kind: llm, chain, agent …
            text: Only roots whose name contains this.
            user: Only of this end user.
            session: Only of this session.
            provider: Only traces of this provider.
            endpoint: Only traces of this endpoint.
            api_key: Only traces of calls with the API key of this id.
            tag: Only traces with this tag, team:search, or any of a key: team.
            attribute: Only traces with this attribute, as key:value.
            search: Only traces with all of these words in input, output, documents or errors.
            min_ms: Only traces that took at least so long.
            max_ms: Only traces that took at most so long.
            min_usd: Only traces that are known to cost at least so much.
            max_usd: Only traces that are known to cost at most so much.
            score: Only traces with this score: helpful:<0.5, tone:rude, helpful:unscored, or helpful for any
                value.
            scored_by: Only scores by human, judge, code or user; alone: any score by those.
            name: Name of the suite: `help/real`.
            add: Whether the examples are added to the suite's newest version; otherwise they are all that its
                next one has.
            dry_run: Whether only to tell what would come, and store nothing.
            most: How many examples at most.
            by: What they are dealt out by: feature, model, kind, status, hour, slice, score:NAME, attribute:KEY
                or tag:KEY.
            allot: Whether each part of `by` gets as large a share as it has of the traces, or each the same.
            seed: The same seed draws the same traces; another one others.
            span: Which span is the example: root, a kind (llm, chain, agent, tool …: the first of it), or
                name=… for a name; empty for the root where it says what went in, else the first model call that
                does.
            answers: Whether every recorded answer becomes the expected one.
            good: The recorded answer becomes the expected one where the trace has all of these scores, like
                `score`: helpful:>=1.
            correction: Names of scores whose explanation, else label, is a better answer: it becomes the
                expected one. So does a text `correction` in a score's metadata, and what MLflow's clients say is
                expected, without being named.
            slice: What becomes the examples' slice: like `by`.
            cluster: Whose examples share a cluster: those of a session, else of a user; of a user; or nobody's.
            near: From which similarity on the inputs of two examples are the same, and one is left out; 1 for
                exact ones only.
            keep: Personal data that stays, by detector or family: contact, payment, national_id, email …
                Secrets never stay.
            scorers: The scorers of the suite; empty for those that it has.
            repeats: How often each example is asked; null for as often as the suite says, or once.
            task: What to call where nobody says otherwise; empty for what the suite says.
            note: A remark for people; empty for one that says what was drawn.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/suites/from-traces",
            SuiteDraw,
            path={"project": project},
            body={
                "since": since,
                "until": until,
                "feature": feature,
                "ref": ref,
                "model": model,
                "status": status,
                "kind": kind,
                "text": text,
                "user": user,
                "session": session,
                "provider": provider,
                "endpoint": endpoint,
                "api_key": api_key,
                "tag": tag,
                "attribute": attribute,
                "search": search,
                "min_ms": min_ms,
                "max_ms": max_ms,
                "min_usd": min_usd,
                "max_usd": max_usd,
                "score": score,
                "scored_by": scored_by,
                "name": name,
                "add": add,
                "dry_run": dry_run,
                "most": most,
                "by": by,
                "allot": allot,
                "seed": seed,
                "span": span,
                "answers": answers,
                "good": good,
                "correction": correction,
                "slice": slice,
                "cluster": cluster,
                "near": near,
                "keep": keep,
                "scorers": scorers,
                "repeats": repeats,
                "task": task,
                "note": note,
            },
        )

    def synthesise(
        self,
        *,
        name: str,
        model: str,
        passages: list[Passage] | UnsetType = UNSET,
        source: str | UnsetType = UNSET,
        most: int | UnsetType = UNSET,
        per_passage: int | UnsetType = UNSET,
        instructions: str | UnsetType = UNSET,
        temperature: float | None | UnsetType = UNSET,
        max_tokens: int | UnsetType = UNSET,
        scorers: list[str | ScorerSetting] | UnsetType = UNSET,
        threshold: float | UnsetType = UNSET,
        slice: bool | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        dry: bool | UnsetType = UNSET,
        project: str | None = None,
    ) -> Synthesis:
        """Have a model write a suite from passages, as a job; `dry` tells what it would cost and asks nothing.

        Each example says who wrote it from what; its quoted evidence stands word for word in its passage. The job's result says
        what was dropped and why. The passages are sent to the model as they are.

        Args:
            name: Name of the suite: `help/written`.
            model: Who writes: `openai/gpt-5-mini`.
            passages: What to write from; this or `source`.
            source: A version to write from: `index:help/docs`, `dataset:…`, or `suite:help/questions`, whose
                examples are the seeds.
            most: How many passages are taken, spread evenly over all.
            per_passage: How many questions each is asked for.
            instructions: What else the model is told: language, audience, difficulty.
            temperature: What the model does by itself where it is null.
            max_tokens: Tokens that one answer of the model may have.
            scorers: The scorers of the suite; `token_f1` where none is named.
            threshold: From which similarity on a question is the same as one before.
            slice: Whether the examples are in the slice `synthetic`; that they are is in their metadata in any
                case.
            max_cost: US dollars that it may cost; it stops before a call that could pass them, and stores what
                it has.
            concurrency: Calls under way at the same time.
            note: A remark for people.
            dry: Tell what it would cost, and ask nothing.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/suites/synthesise",
            Synthesis,
            path={"project": project},
            body={
                "name": name,
                "model": model,
                "passages": passages,
                "source": source,
                "most": most,
                "per_passage": per_passage,
                "instructions": instructions,
                "temperature": temperature,
                "max_tokens": max_tokens,
                "scorers": scorers,
                "threshold": threshold,
                "slice": slice,
                "max_cost": max_cost,
                "concurrency": concurrency,
                "note": note,
                "dry": dry,
            },
        )
