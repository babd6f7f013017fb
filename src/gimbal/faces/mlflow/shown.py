"""Registered models and versions in MLflow's form, and the tags that tell models from prompts."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.registry.model import Kind, RegisteredName, RegisteredVersion
from gimbal.faces.mlflow.names import KeyValue, hex_of, ms_of
from gimbal.faces.mlflow.reading import pairs
from gimbal.generative.prompts import mlflow as prompts
from gimbal.generative.prompts.model import decode_manifest
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause


def shown_name(one: RegisteredName, latest: Sequence[RegisteredVersion]) -> dict[str, Any]:
    """Return a registered model; `latest` is the newest version of each stage."""
    tags = one.tags | ({prompts.IS_PROMPT: "true"} if one.kind == "prompt" else {})
    found: dict[str, Any] = {
        "name": one.name,
        "creation_timestamp": ms_of(one.created_at),
        "last_updated_timestamp": ms_of(one.updated_at),
        "tags": pairs(tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in one.aliases.items()],
        "latest_versions": [shown_version(version) for version in latest],
    }
    return found | {"description": one.description} if one.description else found


def shown_version(one: RegisteredVersion) -> dict[str, Any]:
    """Return a version of a registered model."""
    found: dict[str, Any] = {
        "name": one.name,
        "version": str(one.number),
        "creation_timestamp": ms_of(one.created_at),
        "last_updated_timestamp": ms_of(one.updated_at),
        "user_id": one.created_by,
        "current_stage": one.stage,
        "source": one.source or f"gimbal:{one.kind}:{one.asset}@v{one.number}",
        "status": "READY",
        "tags": pairs(version_tags(one)),
        "aliases": one.aliases,
    }
    more = {
        "description": one.description,
        "run_id": shown_run_id(one.run_id),
        "run_link": one.run_link,
        "model_id": one.model_id,
    }
    return found | {name: value for name, value in more.items() if value}


def version_tags(one: RegisteredVersion) -> dict[str, str]:
    """Return the tags of a version; what a prompt says is in them."""
    if one.kind != "prompt":
        return one.tags
    told = {} if prompts.TEXT in one.tags else prompts.tags_of(decode_manifest(one.manifest))
    return told | one.tags | {prompts.IS_PROMPT: "true"}


def shown_run_id(text: str) -> str:
    """Return the id of a run as MLflow writes it."""
    return hex_of(text) if own_run_id(text) == text else text


def own_run_id(text: str) -> str:
    """Return the id of a run as we keep it; what is none of ours stays as it is."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text


def own_clauses(clauses: Sequence[Clause]) -> tuple[Kind, list[Clause]]:
    """Return whether prompts are asked for, or models, and the other conditions: models, unless they say prompts.

    The ids of runs are as we keep them.
    """
    kind: Kind = "model"
    found: list[Clause] = []
    for clause in clauses:
        if clause.entity == "tag" and clause.key == prompts.IS_PROMPT:
            said = str(clause.value).lower()
            if (clause.op, said) in {("=", "true"), ("!=", "false")}:
                kind = "prompt"
        elif clause.entity == "attribute" and clause.key in {"run_id", "source_run_id"}:
            value = clause.value
            plain = tuple(own_run_id(one) for one in value) if isinstance(value, tuple) else own_run_id(str(value))
            found.append(msgspec.structs.replace(clause, value=plain))
        else:
            found.append(clause)
    return kind, found


def kind_of(tags: Mapping[str, str]) -> Kind:
    """Return what a new registered model is by its tags."""
    return "prompt" if tags.get(prompts.IS_PROMPT, "").lower() == "true" else "model"


def tags_of(given: Sequence[KeyValue]) -> dict[str, str]:
    """Return tags; the last value of a key stays."""
    return {one.key: one.value for one in given}


def must_be_free(kind: Kind, tag: str, fixed: frozenset[str]) -> None:
    """Raise BadInput for a tag that says what something is."""
    if tag == prompts.IS_PROMPT or (kind == "prompt" and tag in fixed):
        raise BadInput(
            f"The tag {tag!r} says what this is and cannot be changed.",
            where="key",
            kept="the tag as it was",
            todo="Register a new version instead.",
        )
