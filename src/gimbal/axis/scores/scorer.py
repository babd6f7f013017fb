"""Scorers as suites apply them: a function with a card, its parameters checked, under a name of the suite's choice.

A scorer is a plain function. `@scorer(card)` gives it its card; keyword-only parameters with defaults are what a suite may
set. Three shapes: code that judges one output, a coroutine that asks others for help, and a metric over all outputs.
Whoever applies scorers (`axis/evals`) takes any of them through `applied`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.scores.card import Level, ScorerCard
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

Judge = Callable[..., ScoreValue]
AskingJudge = Callable[..., Awaitable[ScoreValue]]


class ScorerSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A scorer as a suite uses it."""

    scorer: str
    """Its name among the scorers: `numeric`."""
    name: str = ""
    """What its scores are called in this suite; without one as the scorer is. Two settings of one scorer need two."""
    params: dict[str, Any] = {}
    """Its parameters; what is left out has the scorer's default."""

    @property
    def shown(self) -> str:
        """What its scores are called."""
        return self.name or self.scorer


class _Named:
    """A function with a card and parameters."""

    def __init__(self, card: ScorerCard, function: Callable[..., Any], skip: int) -> None:
        self.card = card
        self.module = function.__module__
        """Where it is written."""
        self._function = function
        self._params = _params_of(card.name, function, skip)
        self.__doc__ = function.__doc__

    def checked(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters in their types, defaults left out; raise BadInput that names the one that does not fit."""
        try:
            found = msgspec.convert(dict(params), self._params)
        except msgspec.ValidationError as problem:
            what, _, place = str(problem).partition(" - at ")
            raise BadInput(
                f"The parameters of {self.card.name} do not fit: {what}.",
                where=f"params{place.strip('`').removeprefix('$')}",
                todo=f"It takes: {', '.join(self._params.__struct_fields__) or 'none'}.",
            ) from None
        return {name: getattr(found, name) for name in params}

    @property
    def parameters(self) -> dict[str, Any]:
        """Default by name of what a suite may set."""
        return msgspec.to_builtins(self._params()) if self._params.__struct_fields__ else {}


class CodeScorer(_Named):
    """Judges one output by code: pure and deterministic."""

    def __init__(self, card: ScorerCard, judge: Judge) -> None:
        super().__init__(card, judge, skip=2)

    def __call__(self, expected: Mapping[str, Any], output: Mapping[str, Any], **params: Any) -> ScoreValue:
        """Return the judgement."""
        return self._function(expected, output, **params)


class AskingScorer(_Named):
    """Judges one output with the help of others: a model, an embedder, a process."""

    def __init__(self, card: ScorerCard, judge: AskingJudge) -> None:
        super().__init__(card, judge, skip=3)

    async def __call__(
        self, ctx: Context, expected: Mapping[str, Any], output: Mapping[str, Any], **params: Any
    ) -> ScoreValue:
        """Return the judgement."""
        return await self._function(ctx, expected, output, **params)


class SuiteMetric(_Named):
    """One number over all outputs, which is no mean of values of examples."""

    def __init__(
        self, card: ScorerCard, read: Callable[..., Any], over: Callable[..., float], *, skip_over: int = 1
    ) -> None:
        super().__init__(card, over, skip=skip_over)
        self._read = read

    def read(self, expected: Mapping[str, Any], output: Mapping[str, Any]) -> Any:
        """Return what the metric needs of one output, or a ScoreValue that says why that is missing."""
        return self._read(expected, output)

    def over(self, samples: Sequence[Any], **params: Any) -> float:
        """Return the metric of samples as `read` returns them; raise ValueError with the reason where it is undefined."""
        return self._function(samples, **params)


def scorer(card: ScorerCard) -> Callable[[Callable[..., Any]], Any]:
    """Register a function as the scorer of a card: `(expected, output, *, …)`, or a coroutine `(ctx, expected, output, *, …)`."""

    def register(function: Callable[..., Any]) -> Any:
        made = AskingScorer(card, function) if inspect.iscoroutinefunction(function) else CodeScorer(card, function)
        return SCORERS.add(card.name, made)

    return register


def metric(card: ScorerCard, read: Callable[..., Any]) -> Callable[[Callable[..., float]], SuiteMetric]:
    """Register a function `(samples, *, …)` as a metric over all outputs; `read` takes `(expected, output)` of each."""
    assert card.level is Level.SUITE, "a metric is of the whole suite"

    def register(function: Callable[..., float]) -> SuiteMetric:
        made = SuiteMetric(card, read, function)
        SCORERS.add(card.name, made)
        return made

    return register


class Applied:
    """One scorer as one suite applies it."""

    def __init__(self, setting: ScorerSetting) -> None:
        """Raise NotFound for a scorer that is not there, BadInput for parameters that do not fit."""
        found: Any = SCORERS.get(setting.scorer)
        self.name = setting.shown
        self.card = card_of(setting.scorer)
        self._scorer = found
        if isinstance(found, _Named):
            self._given = found.checked(setting.params)
        elif setting.params:
            raise BadInput(f"The scorer {setting.scorer} takes no parameters.", where="params", todo="Leave them out.")
        else:
            self._given = {}

    @property
    def asks(self) -> str:
        """The model or the embedder that it asks for each answer; empty where it asks none."""
        return str(self._given.get("model") or self._given.get("embedder") or "")

    @property
    def metric(self) -> SuiteMetric | None:
        """The metric over all outputs that this is; None for a scorer of single ones."""
        return self._scorer if isinstance(self._scorer, SuiteMetric) else None

    async def judge(self, ctx: Context, expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
        """Return the judgement of one output; of a metric only whether the output can be part of it."""
        if isinstance(self._scorer, AskingScorer):
            return await self._scorer(ctx, expected, output, **self._given)
        if isinstance(self._scorer, SuiteMetric):
            read = self._scorer.read(expected, output)
            return read if isinstance(read, ScoreValue) else ScoreValue(value=None)
        return self._scorer(expected, output, **self._given)

    def over(self, samples: Sequence[Any]) -> float:
        """Return a metric over samples; raise ValueError with the reason where it is undefined."""
        assert self.metric is not None, "only metrics are over all outputs"
        return self.metric.over(samples, **self._given)


def card_of(name: str) -> ScorerCard:
    """Return the card of a scorer; of a plain function what its docstring says. Raise NotFound."""
    found: Any = SCORERS.get(name)
    if isinstance(found, _Named):
        return found.card
    first = (inspect.getdoc(found) or "").partition("\n")[0]
    return ScorerCard(name=name, title=name.replace("_", " "), description=first)


def settings_of(listed: Sequence[str | ScorerSetting]) -> list[ScorerSetting]:
    """Return what a suite lists, names as settings; raise BadInput where two have one name."""
    found = [ScorerSetting(scorer=one) if isinstance(one, str) else one for one in listed]
    names = [one.shown for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"Two scorers are called {twice!r}.", where="scorers", todo="Give one of them a `name`.")
    return found


def _params_of(name: str, function: Callable[..., Any], skip: int) -> type[msgspec.Struct]:
    """Return a record of the keyword-only parameters of a function."""
    fields: list[tuple[str, Any, Any]] = []
    for parameter in list(inspect.signature(function, eval_str=True).parameters.values())[skip:]:
        assert parameter.kind is parameter.KEYWORD_ONLY, f"{name}: parameters are keyword-only"
        assert parameter.default is not parameter.empty, f"{name}: every parameter has a default"
        fields.append((parameter.name, parameter.annotation, parameter.default))
    return msgspec.defstruct(f"{name}_params", fields, kw_only=True, frozen=True, forbid_unknown_fields=True)
