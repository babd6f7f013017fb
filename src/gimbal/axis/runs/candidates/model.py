"""Records of logged models."""

import re
import secrets
from datetime import datetime
from typing import Any, Literal

import msgspec

from gimbal.axis.runs.model import MetricValue
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause

Status = Literal["pending", "ready", "failed"]
MAX_VALUE = 6_000
MAX_KEY = 250
_ID = re.compile(r"m-[0-9a-f]{32}")
_UNFIT = frozenset("/:.%\"'")
# Made up as people remember it.
_KINDS_OF = ("calm", "bright", "quick", "plain", "brave", "gentle", "keen", "steady", "warm", "wise")
_ANIMALS = ("heron", "otter", "lynx", "finch", "marten", "crane", "hare", "wren", "badger", "swift")


class ModelMetric(msgspec.Struct, frozen=True, kw_only=True):
    """The newest point of a metric of a logged model, on one dataset or on none."""

    name: str
    value: MetricValue
    step: int
    at: datetime
    run_id: str
    """The run that measured it."""
    dataset_name: str = ""
    dataset_digest: str = ""


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a run made: its files are artifacts, and it can be registered."""

    key: int
    id: str
    """`m-` and 32 hex digits."""
    project: str
    experiment_key: int
    experiment: str
    name: str
    model_type: str
    status: Status
    """`pending` while its files come, then `ready`, or `failed` when they did not."""
    stage: Literal["active", "deleted"]
    source_run_id: str | None
    """The run that made it."""
    created_at: datetime
    updated_at: datetime
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: list[ModelMetric] = []


class NewModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose files will come."""

    experiment_key: int
    name: str = ""
    """Made up when empty."""
    model_type: str = ""
    source_run_id: str | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class ModelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One field, or metric, to sort by."""

    key: str
    metric: bool = False
    descending: bool = False
    dataset_name: str = ""
    dataset_digest: str = ""


class ModelQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which logged models, in which order, and which page of them."""

    experiments: list[int]
    clauses: list[Clause] = []
    datasets: list[tuple[str, str]] = []
    """Name and digest (empty: any) of datasets: conditions on metrics count only those measured on one of them."""
    order: list[ModelOrder] = []
    limit: int = 100
    cursor: str | None = None
    """`next` of the page before, for the same question."""


def new_model_id() -> str:
    """Return an id that no other model has."""
    return f"m-{secrets.token_hex(16)}"


def check_model_id(text: str) -> str:
    """Return an id of a logged model; raise BadInput for what cannot be one."""
    if not _ID.fullmatch(text):
        raise BadInput(f"{text[:80]!r} is not the id of a logged model.", where="model_id", todo="Ids are m-… here.")
    return text


def made_up_name() -> str:
    """Return a name for a model that got none."""
    return f"{secrets.choice(_KINDS_OF)}-{secrets.choice(_ANIMALS)}-{secrets.randbelow(1000)}"


def check_model_name(name: str) -> str:
    """Return a name that a logged model may have; raise BadInput otherwise."""
    if not name or len(name) > MAX_KEY or not name.isprintable() or _UNFIT & set(name):
        raise BadInput(
            f"Invalid model name ({name[:80]!r}) provided.",
            where="name",
            kept="nothing",
            todo=f"A name has 1 to {MAX_KEY} characters, none of {' '.join(sorted(_UNFIT))}.",
        )
    return name


def check_texts(where: str, values: dict[str, Any], most: int = MAX_VALUE) -> None:
    """Raise BadInput for a name or text that cannot be kept."""
    for name, value in values.items():
        if not name or len(name) > MAX_KEY or "\0" in name:
            raise BadInput(
                f"A name has 1 to {MAX_KEY} characters, not {len(name)}.",
                where=where,
                kept="nothing",
                todo="Shorten it.",
            )
        if len(value) > most or "\0" in value:
            raise BadInput(
                f"The value of {name!r} has at most {most} characters, without U+0000.",
                where=f"{where}.{name}",
                kept="nothing",
                todo="Store it as an artifact.",
            )
