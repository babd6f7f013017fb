"""MLflow's database, read as it lies: SQLite or PostgreSQL, without MLflow and without its server. Nothing is written.

Tables: mlflow/store/tracking/dbmodels/models.py and mlflow/store/model_registry/dbmodels/models.py of MLflow 1.20 to 3.18;
tables and columns that an older one has not yet are taken for empty.
"""

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gimbal.axis.runs.imports.model import ImportedDataset, ImportedExperiment, ImportedModel
from gimbal.faces.importing.reading import reading, shown
from gimbal.faces.importing.records import (
    Problem,
    SourceModel,
    SourceRegistered,
    SourceRun,
    SourceVersion,
    run_uuid,
)
from gimbal.faces.importing.sources import mlflow
from gimbal.faces.importing.sources.chosen import Chosen
from gimbal.faces.importing.times import at_us
from gimbal.kernel.errors import BadInput, NotFound, Unavailable

_AT_ONCE, _MOST_POINTS = 250, 200_000
_NEEDED = frozenset({"experiments", "runs", "metrics", "params", "tags"})
Row = dict[str, Any]


class MlflowSql:
    """A database of MLflow."""

    def __init__(self, url: str, chosen: Collection[str] = (), *, artifacts: bool = True) -> None:
        """Connect; raise BadInput for an address that is none, or a database of something else, Unavailable without one."""
        try:
            parsed = sa.make_url(url)
        except (SQLAlchemyError, ValueError):
            raise BadInput(f"{shown(url)[:80]!r} is no address of a database.", where="source") from None
        base, self._engine = _engine(parsed)
        self._artifacts = mlflow.Artifacts(base, wanted=artifacts)
        self._shown = shown(parsed.render_as_string(hide_password=True))
        self._metadata = sa.MetaData()
        with _told(self._shown):
            self._metadata.reflect(self._engine)
        if missing := sorted(_NEEDED - set(self._metadata.tables)):
            raise BadInput(
                f"{self._shown} is no database of MLflow: it has no table {missing[0]!r}.",
                where="source",
                todo="Give the address that `mlflow server --backend-store-uri` was given.",
            )
        self._chosen = Chosen(chosen)
        self._workspace = os.environ.get("MLFLOW_WORKSPACE") or "default"
        rows = self._rows("experiments")
        mine = [row for row in rows if self._is_mine(row)]
        self._elsewhere = sorted({str(row["workspace"]) for row in rows if not self._is_mine(row)})
        self._experiments = {row["experiment_id"]: row for row in mine if self._chosen.takes(_name(row), row["name"])}
        self._chosen.check()
        tags: dict[Any, dict[str, str]] = {}
        for row in self._rows("experiment_tags"):
            tags.setdefault(row["experiment_id"], {})[row["key"]] = row["value"] or ""
        self._tags = tags

    def experiments(self) -> list[ImportedExperiment]:
        """Return the experiments, deleted ones among them."""
        return [
            ImportedExperiment(
                name=_name(row),
                stage="deleted" if row["lifecycle_stage"] == "deleted" else "active",
                created_at=at_us(row["creation_time"] * 1000) if row.get("creation_time") else None,
                updated_at=at_us(row["last_update_time"] * 1000) if row.get("last_update_time") else None,
                tags=self._tags.get(key, {}),
            )
            for key, row in self._experiments.items()
        ]

    def count(self) -> int | None:
        """Return how many runs there are."""
        runs = self._metadata.tables["runs"]
        query = sa.select(sa.func.count()).select_from(runs).where(runs.c.experiment_id.in_(list(self._experiments)))
        with _told(self._shown), self._engine.connect() as tx:
            return int(tx.execute(query).scalar_one())

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs by id."""
        for name in self._elsewhere:
            yield Problem(f"workspace {name}", "Its experiments are left out; set MLFLOW_WORKSPACE to import them.")
        last = ""
        runs = self._metadata.tables["runs"]
        while True:
            mine = (runs.c.experiment_id.in_(list(self._experiments)), runs.c.run_uuid > last)
            query = sa.select(runs).where(*mine).order_by(runs.c.run_uuid).limit(_AT_ONCE)
            with _told(self._shown), self._engine.connect() as tx:
                rows = [dict(row) for row in tx.execute(query).mappings()]
            if not rows:
                return
            for part in self._parted(rows):
                yield from self._whole(part)
            last = rows[-1]["run_uuid"]

    def models(self) -> Iterator[SourceModel | Problem]:
        """Yield logged models."""
        rows = self._rows("logged_models", experiment_id=list(self._experiments), lifecycle_stage=["active"])
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            ids = [row["model_id"] for row in part]
            tables = ("logged_model_params", "logged_model_tags", "logged_model_metrics")
            of = {table: _grouped(self._rows(table, model_id=ids), "model_id") for table in tables}
            for kind in ("RUN_OUTPUT", "RUN_INPUT"):
                links = self._rows("inputs", destination_id=ids, source_type=[kind])
                of[kind] = _grouped(links, "destination_id")
            for row in part:
                mine = {name: rows.get(row["model_id"], []) for name, rows in of.items()}
                one = reading(f"logged model {row['model_id']}", lambda row=row, mine=mine: self._model(row, mine))
                yield from [one] if isinstance(one, Problem) else one

    def registered(self) -> Iterator[SourceRegistered | Problem]:
        """Yield registered models with their versions; none where only some experiments are chosen."""
        if not self._chosen.all:
            return
        aliases, tags, version_tags = (
            _grouped(list(filter(self._is_mine, self._rows(table))), "name")
            for table in ("registered_model_aliases", "registered_model_tags", "model_version_tags")
        )
        versions = _grouped(list(filter(self._is_mine, self._rows("model_versions"))), "name")
        for row in self._rows("registered_models"):
            name = row["name"]
            if not self._is_mine(row):
                continue
            of_versions = _grouped(version_tags.get(name, []), "version")
            yield reading(
                f"registered model {name}",
                lambda row=row, name=name, of_versions=of_versions: SourceRegistered(
                    name=name,
                    description=row["description"] or "",
                    tags={one["key"]: one["value"] or "" for one in tags.get(name, [])},
                    aliases={one["alias"]: int(one["version"]) for one in aliases.get(name, [])},
                    versions=[
                        _version(one, {tag["key"]: tag["value"] or "" for tag in of_versions.get(one["version"], [])})
                        for one in sorted(versions.get(name, []), key=lambda one: one["version"])
                        if one["current_stage"] != mlflow.DELETED_VERSION
                    ],
                ),
            )

    def _model(self, row: Row, of: dict[str, list[Row]]) -> list[SourceModel | Problem]:
        own_id, source_run = row["model_id"], row["source_run_id"]
        record = ImportedModel(
            id=own_id,
            name=row["name"],
            experiment=_name(self._experiments[row["experiment_id"]]),
            status=mlflow.model_state(row["status"]),
            model_type=row["model_type"] or "",
            source_run_id=run_uuid(mlflow.KIND, source_run) if source_run else None,
            created_at=at_us(row["creation_timestamp_ms"] * 1000),
            updated_at=at_us(row["last_updated_timestamp_ms"] * 1000),
            params={one["param_key"]: one["param_value"] for one in of["logged_model_params"]},
            tags={one["tag_key"]: one["tag_value"] for one in of["logged_model_tags"]},
            metrics=mlflow.newest(map(_model_point, of["logged_model_metrics"])),
            made_by={run_uuid(mlflow.KIND, one["source_id"]): one.get("step") or 0 for one in of["RUN_OUTPUT"]},
            read_by=[run_uuid(mlflow.KIND, one["source_id"]) for one in of["RUN_INPUT"]],
        )
        files, problems = self._artifacts.of(row["artifact_location"] or "", own_id)
        return [*problems, SourceModel(record=record, files=files)]

    def _is_mine(self, row: Row) -> bool:
        """Tell whether a row is of the workspace that is imported; before 3.10 there were none."""
        return row.get("workspace", self._workspace) == self._workspace

    def _parted(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield runs in parts that have not too many points for the memory, a large run by itself."""
        metrics = self._metadata.tables["metrics"].c
        asked = sa.select(metrics.run_uuid, sa.func.count()).group_by(metrics.run_uuid)
        with _told(self._shown), self._engine.connect() as tx:
            mine = asked.where(metrics.run_uuid.in_([row["run_uuid"] for row in rows]))
            counts = {own_id: count for own_id, count in tx.execute(mine)}  # noqa: C416 - rows are no pairs to the checker
        part: list[Row] = []
        points = 0
        for row in rows:
            more = counts.get(row["run_uuid"], 0)
            if part and points + more > _MOST_POINTS:
                yield part
                part, points = [], 0
            part.append(row)
            points += more
        yield part

    def _whole(self, rows: Sequence[Row]) -> Iterator[SourceRun | Problem]:
        ids = [row["run_uuid"] for row in rows]
        params, tags = (_texts(self._rows(table, run_uuid=ids)) for table in ("params", "tags"))
        found: dict[str, SourceRun] = {}
        for row in rows:
            own_id, where = row["run_uuid"], f"run {row['run_uuid']}"
            one = reading(
                where,
                lambda row=row, own_id=own_id, where=where: mlflow.made_run(
                    {**row, "run_id": own_id, "run_name": row.get("name")},
                    _name(self._experiments[row["experiment_id"]]),
                    params.get(own_id, {}),
                    tags.get(own_id, {}),
                    where,
                ),
            )
            if isinstance(one, Problem):
                yield one
                continue
            one.files, one.problems = self._artifacts.of(row["artifact_uri"] or "", own_id)
            found[own_id] = one
        self._points(found)
        self._datasets(found)
        yield from found.values()

    def _points(self, found: dict[str, SourceRun]) -> None:
        metrics = self._metadata.tables["metrics"].c
        columns = (metrics.run_uuid, metrics.key, metrics.step, metrics.timestamp, metrics.value, metrics.is_nan)
        with _told(self._shown), self._engine.connect() as tx:
            for own_id, key, step, ms, value, is_nan in tx.execute(
                sa.select(*columns).where(metrics.run_uuid.in_(list(found)))
            ):
                found[own_id].points.add(key, step, ms * 1000, float("nan") if is_nan else value)

    def _datasets(self, found: dict[str, SourceRun]) -> None:
        used = self._rows("inputs", destination_id=list(found), source_type=["DATASET"])
        tags = _grouped(self._rows("input_tags", input_uuid=[one["input_uuid"] for one in used]), "input_uuid")
        described = _grouped(self._rows("datasets", dataset_uuid=[one["source_id"] for one in used]), "dataset_uuid")
        for one in used:
            for row in described.get(one["source_id"], []):
                told = {name: row[f"dataset_{name}"] or "" for name in ("source_type", "source", "schema", "profile")}
                own_tags = {tag["name"]: tag["value"] for tag in tags.get(one["input_uuid"], [])}
                dataset = ImportedDataset(name=row["name"], digest=row["digest"], tags=own_tags, **told)
                found[one["destination_id"]].datasets.append(dataset)

    def _rows(self, name: str, **wanted: Collection[Any]) -> list[Row]:
        """Return rows of a table where columns have one of some values; none of a table that is not there."""
        table = self._metadata.tables.get(name)
        if table is None or any(not values for values in wanted.values()):
            return []
        where = [table.c[column].in_(list(values)) for column, values in wanted.items()]
        with _told(self._shown), self._engine.connect() as tx:
            return [dict(row) for row in tx.execute(sa.select(table).where(*where)).mappings()]


def _engine(url: sa.URL) -> tuple[Path | None, sa.Engine]:
    """Return the folder that relative paths start from, and an engine that cannot write."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        path = Path(url.database or "")
        if not path.is_file():
            raise NotFound(f"There is no file {path}.", where="source", todo="Give sqlite:///path/of/mlflow.db.")
        # Encoded, and past SQLAlchemy, which decodes it: behind a # SQLite would open, and make, another file.
        address = f"{path.absolute().as_uri()}?mode=ro"
        opened = sa.create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=sa.NullPool
        )
        return path.absolute().parent, opened
    if backend == "postgresql":
        engine = sa.create_engine(url.set(drivername="postgresql+psycopg"))
        return None, engine.execution_options(postgresql_readonly=True)
    raise BadInput(
        f"A store in {backend} cannot be read directly.",
        where="source",
        todo="Start `mlflow server` on it and give its http address.",
    )


@contextlib.contextmanager
def _told(shown: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as problem:
        why = str(getattr(problem, "orig", None) or problem).strip().splitlines()[0][:200]
        raise Unavailable(
            f"{shown} cannot be read: {why}.",
            where="source",
            kept="what was imported so far",
            todo="Look at the address and the database, then give the same command again.",
        ) from None


def _name(row: Row) -> str:
    return mlflow.experiment_name(row["name"], str(row["experiment_id"]))


def _grouped(rows: Sequence[Row], column: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _texts(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["run_uuid"], {})[row["key"]] = row["value"] or ""
    return found


def _model_point(row: Row) -> mlflow.ModelPoint:
    return mlflow.ModelPoint(
        row["metric_name"],
        row["dataset_name"] or "",
        row["dataset_digest"] or "",
        row["metric_step"],
        row["metric_timestamp_ms"],
        float("nan") if row["metric_value"] is None else row["metric_value"],
        row["run_id"],
    )


def _version(row: Row, tags: dict[str, str]) -> SourceVersion:
    run_id = row["run_id"] or ""
    source, model_id = mlflow.source_here(row["source"] or "", row.get("storage_location") or "", run_id, "")
    return SourceVersion(
        number=int(row["version"]),
        source=source,
        run_id=run_uuid(mlflow.KIND, run_id) if run_id else "",
        model_id=model_id,
        run_link=row.get("run_link") or "",
        description=row["description"] or "",
        stage=row["current_stage"] or "None",
        created_us=(row["creation_time"] or 0) * 1000,
        tags=tags,
    )
