"""What /metrics shows of the models that this process calls."""

from collections.abc import Iterator

from gimbal.generative.gateway.resilience.breaker import CLOSED
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.vitals import ModelState
from gimbal.kernel.counters import Sample

_ATTEMPTS = "Attempts that were sent to a model and have ended or begun to answer, by what came of them."
_EXTRA = "Attempts beyond the first of a call at a model, by sort; wasted ones were overtaken by another."


def samples(health: Health) -> list[Sample]:
    """Return the figures of every model, for `Counters.watch`."""
    return [sample for state in health.snapshot() for sample in _of(state)]


def _of(state: ModelState) -> Iterator[Sample]:
    model = {"provider": state.provider, "model": state.model, "scope": state.scope}

    def counter(name: str, value: float, help_: str, **labels: str) -> Sample:
        return Sample(name=name, value=value, help=help_, kind="counter", labels=model | labels)

    def gauge(name: str, value: float, help_: str) -> Sample:
        return Sample(name=name, value=value, help=help_, labels=model)

    for outcome, number in {"answered": state.answered, **state.failures}.items():
        yield counter("gimbal_gateway_attempts_total", number, _ATTEMPTS, outcome=outcome)
    for sort, number in (("retry", state.retries), ("hedge", state.hedges), ("wasted", state.wasted)):
        yield counter("gimbal_gateway_extra_attempts_total", number, _EXTRA, sort=sort)
    yield counter("gimbal_gateway_kept_away_total", state.kept_away, "Calls that were not sent to a model that rests.")
    for to, number in state.rerouted.items():
        yield counter("gimbal_gateway_rerouted_total", number, "Calls that went on to another model.", to=to)
    yield counter("gimbal_gateway_breaker_opened_total", state.opened, "How often a model's breaker has opened.")
    resting = float(state.state != CLOSED)
    yield gauge(
        "gimbal_gateway_model_resting", resting, "1 while a model's breaker is not closed or it asked for a pause."
    )
    yield gauge("gimbal_gateway_model_under_way", state.under_way, "Attempts that wait for their answer to begin.")
    if state.first_byte_ms is not None:
        help_ = "Peak EWMA of the time to the first byte of streams."
        yield gauge("gimbal_gateway_model_first_byte_seconds", state.first_byte_ms / 1000, help_)
    if state.whole_ms is not None:
        help_ = "Peak EWMA of the time to answers that are not streamed."
        yield gauge("gimbal_gateway_model_whole_seconds", state.whole_ms / 1000, help_)
