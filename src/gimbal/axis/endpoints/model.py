"""Records of endpoints and of what they predicted."""

from datetime import datetime

import msgspec

from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref, ResolvedRef, check_slug


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where calls go."""

    ref: str
    """Reference, mostly by alias: `model:flights/delay@production`."""
    weight: float = 1.0
    """Share of the calls; one target has all of them."""


class SetEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint to set; one with the same slug is replaced."""

    slug: str
    """Its name in addresses: `delay` answers at /v2/models/delay/infer."""
    targets: list[Target]
    """Exactly one for now."""
    capture: bool = True
    """Whether predictions are recorded with their inputs; monitors need them."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What callers call."""

    slug: str
    targets: list[Target]
    capture: bool
    updated_at: datetime
    updated_by: str
    resolved: ResolvedRef | None = None
    """The version that its target means now; null when there is none."""


class EndpointTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint answered in one hour or day."""

    start: datetime
    predictions: int
    mean_score: float | None


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One row that an endpoint predicted."""

    id: str
    """By which its label is given later."""
    at: datetime
    """Event time: when what it is about happened, as the caller said, else when it was asked for."""
    recorded_at: datetime
    entity: str
    """What it is about, as the caller said."""
    version: str
    """The version that predicted, resolved."""
    predicted: str
    """Class name, or number as text."""
    score: float | None
    """Probability of the positive class; null when the model gives none."""
    trace_id: str
    inputs: dict[str, str | float | None]
    """What went in; null where it was missing, `inf` and `-inf` as text."""


def check_endpoint(body: SetEndpoint) -> None:
    """Raise BadInput when an endpoint cannot be as it is described."""
    check_slug(body.slug)
    if len(body.targets) != 1:
        raise BadInput("An endpoint has one target.", where="targets", todo="Give exactly one.")
    ref = Ref.parse(body.targets[0].ref)
    if ref.kind != "model":
        raise BadInput(f"{ref.asset} is not a model.", where="targets[0].ref", todo="Write model:name@alias.")
