"""Comparisons of a filter as conditions on the catalog, the same on both engines."""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.runs.experiments.model import DEFAULT, DEFAULT_ID
from gimbal.axis.runs.store import (
    HEAD,
    experiments,
    input_datasets,
    run_datasets,
    run_latest,
    run_params,
    run_tags,
    runs,
)
from gimbal.engines.storage.comparing import (
    Condition,
    by_characters,
    compared,
    label_condition,
    number_condition,
    text_condition,
    time_condition,
)
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause
from gimbal.kernel.ids import parse_id

_CONTEXT = "mlflow.data.context"
_NEVER = -1
_newest = run_latest.alias("newest")


class Conditions:
    """Makes conditions for one engine and one project's names of metrics."""

    def __init__(self, dialect: str, names: Mapping[str, int]) -> None:
        """`names` are the keys of metrics by name."""
        self._sqlite = dialect == "sqlite"
        self._names = names

    def of(self, clause: Clause) -> Condition:
        """Return the condition that a row of runs has to meet."""
        match clause.entity:
            case "metric":
                return sa.exists().where(_newest.c.run_key == runs.c.key, *self.of_metric(clause, _newest))
            case "parameter":
                return self._of_parameter(clause)
            case "tag":
                return label_condition(run_tags, run_tags.c.run_key == runs.c.key, clause, sqlite=self._sqlite)
            case "dataset":
                return self._of_dataset(clause)
            case _:
                return self._of_attribute(clause)

    def of_metric(self, clause: Clause, table: Any = run_latest) -> tuple[Condition, ...]:
        """Return the conditions that a row of newest points has to meet; a NaN is unequal to everything."""
        assert isinstance(clause.value, int | float)
        tested = number_condition(table.c.value, clause.op, clause.value)
        return table.c.name_key == self._names.get(clause.key, _NEVER), tested

    def labelled(self, clause: Clause) -> sa.Select[tuple[int]] | None:
        """Return the keys of runs with a parameter or tag of just this value, as an index has them; None for all else."""
        if clause.op != "=" or clause.entity not in {"parameter", "tag"}:
            return None
        assert isinstance(clause.value, str)
        table = run_params if clause.entity == "parameter" else run_tags
        values = _forms(clause.value) if clause.entity == "parameter" else [clause.value]
        head = sa.literal_column(f"substr({table.name}.value, 1, {HEAD})", sa.Text)
        heads = head.in_([value[:HEAD] for value in values])
        return sa.select(table.c.run_key).where(table.c.name == clause.key, heads, table.c.value.in_(values))

    def name_key(self, name: str) -> int:
        """Return the key of a metric; one that there is not for an unknown name."""
        return self._names.get(name, _NEVER)

    def sorted_by(self, entity: str, key: str, table: Any) -> sa.ColumnElement[Any]:
        """Return what a parameter or tag, whose table is given, or an attribute is sorted by."""
        if entity == "attribute" and key in {"start_time", "end_time"}:
            return self._attribute(key)
        text = (
            self._decoded(table.c.value)
            if entity == "parameter"
            else table.c.value
            if entity == "tag"
            else self._attribute(key)
        )
        return by_characters(text, sqlite=self._sqlite)

    def _of_parameter(self, clause: Clause) -> Condition:
        there = sa.exists().where(run_params.c.run_key == runs.c.key, run_params.c.name == clause.key)
        if clause.op == "IS NULL":
            return ~there
        if clause.op == "IS NOT NULL":
            return there
        assert isinstance(clause.value, str)
        if clause.op in {"=", "!="}:
            same = run_params.c.value.in_(_forms(clause.value))
            return there.where(same if clause.op == "=" else ~same)
        return there.where(self._text(self._decoded(run_params.c.value), clause.op, clause.value))

    def _decoded(self, value: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
        """Return a parameter's JSON as text: of a text what is in it, of all else the JSON."""
        return self._inside(value, "$", '"%')

    def _inside(self, value: sa.ColumnElement[str], path: str, shape: str) -> sa.ColumnElement[str]:
        # PostgreSQL has no texts with U+0000 and fails on JSON that says so: such are left as they are.
        told = sa.and_(value.like(shape), value.not_like("%\\u0000%", escape="~"))
        if self._sqlite:
            found = sa.func.json_extract(value, path)
        else:
            names = [] if path == "$" else [_CONTEXT]
            found = sa.func.json_extract_path_text(sa.cast(value, sa.JSON), *names) if names else _root_text(value)
        return sa.case((told, found), else_=value if path == "$" else sa.null())

    def _of_dataset(self, clause: Clause) -> Condition:
        found = run_datasets.join(input_datasets, input_datasets.c.key == run_datasets.c.dataset_key)
        if clause.key == "context":
            tags = sa.type_coerce(run_datasets.c.tags, sa.Text)
            column = self._inside(tags, f'$."{_CONTEXT}"', "{%")
        else:
            column = input_datasets.c[clause.key]
        query = sa.select(sa.literal(1)).select_from(found)
        return sa.exists(query.where(run_datasets.c.run_key == runs.c.key, self._text(column, clause.op, clause.value)))

    def _of_attribute(self, clause: Clause) -> Condition:
        if clause.key in {"start_time", "end_time"}:
            column = runs.c.started_at if clause.key == "start_time" else runs.c.ended_at
            assert isinstance(clause.value, int | float)
            return time_condition(column, clause.op, clause.value)
        if clause.key == "run_id":
            return self._of_id(clause)
        if clause.key == "status":
            assert isinstance(clause.value, str)
            value = clause.value if clause.op == "LIKE" else clause.value.upper()
            # What was not heard of any more is killed for those who know no other word.
            column = sa.func.upper(runs.c.status) if value == "DEAD" else self._attribute("status")
            return self._text(column, clause.op, value)
        return self._text(self._attribute(clause.key), clause.op, clause.value)

    def _of_id(self, clause: Clause) -> Condition:
        if isinstance(clause.value, tuple):
            inside = runs.c.id.in_([_id(one) for one in clause.value])
            return inside if clause.op == "IN" else ~inside
        assert isinstance(clause.value, str)
        if clause.op in {"=", "!="}:
            return compared(runs.c.id, clause.op, sa.literal(_id(clause.value)))
        return self._text(self._attribute("run_id"), clause.op, clause.value.replace("-", ""))

    def _attribute(self, key: str) -> sa.ColumnElement[Any]:
        match key:
            case "run_id":
                return sa.func.replace(runs.c.id, "-", "")
            case "run_name":
                return runs.c.name
            case "user_id":
                return runs.c.user
            case "status":
                return sa.case((runs.c.status == "dead", "KILLED"), else_=sa.func.upper(runs.c.status))
            case "start_time":
                return sa.type_coerce(runs.c.started_at, sa.BigInteger)
            case "end_time":
                return sa.type_coerce(runs.c.ended_at, sa.BigInteger)
            case _:
                number = sa.cast(runs.c.experiment_key, sa.Text)
                own = sa.literal("mlflow-artifacts:/") + sa.case(
                    (experiments.c.name == DEFAULT, DEFAULT_ID), else_=number
                )
                location = experiments.c.artifact_location
                root = sa.case((location == "", own), else_=sa.func.rtrim(location, "/"))
                mine = sa.select(root).where(experiments.c.key == runs.c.experiment_key).scalar_subquery()
                return mine + "/" + sa.func.replace(runs.c.id, "-", "") + "/artifacts"

    def _text(self, column: sa.ColumnElement[Any], op: str, value: Any) -> Condition:
        return text_condition(column, op, value, sqlite=self._sqlite)


def _id(text: str) -> str:
    """Return an id as it stands in the catalog; a text that is none stays what it is and is found nowhere."""
    try:
        return parse_id(text)
    except BadInput:
        return text


def _forms(text: str) -> list[str]:
    """Return how a parameter of this value stands there: a text as JSON, or a number in the form in which it was given."""
    return [msgspec.json.encode(text).decode(), *_as_json(text)]


def _as_json(text: str) -> list[str]:
    """Return a text itself where it is JSON of something else than a text."""
    try:
        return [text] if not isinstance(msgspec.json.decode(text), str) else []
    except (msgspec.DecodeError, RecursionError):
        return []


def _root_text(value: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    return sa.cast(value, sa.JSON).op("#>>", return_type=sa.Text)(sa.literal_column("'{}'"))
