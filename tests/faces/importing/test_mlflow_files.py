"""Import of MLflow's file store: what its own client wrote there, its own client reads here."""

import json
import uuid
from pathlib import Path

import pytest
from tests.faces.cli.conftest import Cli
from tests.faces.importing.conftest import SCRIPTS, Bring
from tests.mlflow_clients import MlflowClient

import gimbal
from gimbal.axis.runs.model import LogMetric
from gimbal.faces.importing.records import Problem, SourceModel
from gimbal.faces.importing.registry import NUMBER_TAG, STAGE_TAG
from gimbal.faces.importing.sources.mlflow_files import MlflowFiles
from gimbal.kernel.errors import NotFound
from gimbal.kernel.ids import new_id

COUNTS = {
    "read": 6,
    "created": 6,
    "params": 6,
    "points": 37,
    "datasets": 1,
    "models": 1,
    "registered": 1,
    "versions": 2,
}


def made_run(folder: Path, own_id: str, name: str = "made") -> Path:
    """Write a run as MLflow's file store does."""
    for part in ("metrics", "params", "tags", "artifacts"):
        (folder / own_id / part).mkdir(parents=True)
    meta = f"run_id: {own_id}\nrun_name: {name}\nstatus: 3\nstart_time: 1767225600000\nend_time: 1767225601000\n"
    (folder / own_id / "meta.yaml").write_text(f"{meta}lifecycle_stage: active\nuser_id: u\n")
    return folder / own_id


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a file store with one empty experiment, named by the test."""
    place = tmp_path / "mlruns" / "7"
    place.mkdir(parents=True)
    (place / "meta.yaml").write_text(f"experiment_id: '7'\nname: {tmp_path.name}\nlifecycle_stage: active\n")
    return place


def test_mlflow_reads_here_what_it_wrote_there(
    mlruns: Path, mlflow_client: MlflowClient, client: gimbal.Client, bring: Bring
) -> None:
    """Ids, times, states, points, files, datasets, models and versions are the same to MLflow's client on both sides."""
    mine = mlruns.parent.name
    code, told = bring("mlflow", mlruns)

    assert (code, told["problems"]) == (0, [])
    assert {name: told["counts"][name] for name in COUNTS} == COUNTS
    there = json.loads(mlflow_client.run(SCRIPTS / "dump.py", mlruns.as_uri(), mine, MLFLOW_ALLOW_FILE_STORE="true"))
    here = json.loads(mlflow_client.run(SCRIPTS / "dump.py", client.transport.url, mine))
    assert here == there
    parent = next(run for run in there[f"{mine}: kept"]["runs"].values() if run["files"])
    assert len(parent["points"]["same"]) == 2
    assert parent["points"]["nan"] == [[0, 1_700_000_000_000, "nan"]]


def test_a_second_import_changes_nothing(mlruns: Path, client: gimbal.Client, bring: Bring) -> None:
    """Everything is there already, both sides compare equal, and what was changed here meanwhile stays."""
    bring("mlflow", mlruns)
    experiment = f"{mlruns.parent.name}: kept"
    run = next(one for one in client.every(client.runs.list, experiment=experiment) if one.note)
    client.runs.update(run.id, name="renamed here")
    code, again = bring("mlflow", mlruns)

    assert (code, again["counts"]["there"], again["counts"]["created"], again["counts"]["versions"]) == (0, 6, 0, 0)
    assert client.runs.show(run.id).name == "renamed here"
    client.runs.update(run.id, name=run.name)
    code, compared = bring("mlflow", mlruns, "--verify")
    assert (code, compared["differences"], compared["counts"]["versions"]) == (0, [], 2)


def test_comparing_finds_what_differs(mlruns: Path, client: gimbal.Client, bring: Bring) -> None:
    """A changed tag, a missing file, an added point and a run that is not here are each named; nothing is changed."""
    bring("mlflow", mlruns)
    experiment = f"{mlruns.parent.name}: kept"
    run = next(one for one in client.every(client.runs.list, experiment=experiment) if one.note)
    client.runs.update(run.id, tags={"k/ey": "other"})
    client.runs.artifact_delete(run.id, "report.md")
    client.runs.log(run.id, metrics=[LogMetric(name="loss", value=9.0, step=99)])
    place = next((mlruns).glob("*/*/tags/k")).parents[1].parent
    made_run(place, uuid.uuid4().hex)
    code, told = bring("mlflow", mlruns, "--verify")

    assert code == 1
    assert sorted(one["what"] for one in told["differences"]) == [
        "The run is not here.",
        "files: 2 there, 1 here.",
        "metric points: 35 there, 36 here.",
        "tags: not the same.",
    ]
    assert client.runs.show(run.id).tags["k/ey"] == "other"


def test_what_a_killed_import_left_of_versions(mlruns: Path, client: gimbal.Client, bring: Bring) -> None:
    """A version that only used up its number goes, a stage that was not set yet is set; a comparison names the first."""
    bring("mlflow", mlruns)
    name, call = f"{mlruns.parent.name}-delay", client.transport.dialect
    asked = {"name": name, "version": "3"}
    third = call("GET", "/api/2.0/mlflow/model-versions/get", None, query=asked)["model_version"]
    stray = {key: third[key] for key in ("name", "source", "run_id", "model_id")}
    stray["tags"] = [{"key": NUMBER_TAG, "value": "9"}]
    call("POST", "/api/2.0/mlflow/model-versions/create", stray)
    staged = asked | {"key": STAGE_TAG, "value": "Staging"}
    call("POST", "/api/2.0/mlflow/model-versions/set-tag", staged)
    code, told = bring("mlflow", mlruns, "--verify")
    assert (code, [one["what"] for one in told["differences"]]) == (1, ["versions that are not there: 4."])
    assert bring("mlflow", mlruns)[0] == 0
    assert bring("mlflow", mlruns, "--verify")[0] == 0
    version = call("GET", "/api/2.0/mlflow/model-versions/get", None, query=asked)["model_version"]
    assert version["current_stage"] == "Staging"
    assert STAGE_TAG not in {one["key"] for one in version["tags"]}


def test_logged_models_of_a_file_store(store: Path) -> None:
    """Deleted ones stay out, runs that read one are known, and what cannot be read is named."""
    run = made_run(store, own_id := uuid.uuid4().hex)
    for at, more in enumerate(("", "lifecycle_stage: deleted\n", "creation_timestamp: abc\n")):
        folder = store / "models" / f"m-{at}"
        (folder / "tags").mkdir(parents=True)
        (folder / "tags" / "bytes").write_bytes(b"\xff")
        (folder / "meta.yaml").write_text(f"model_id: m-{at}\nname: net\n{more}")
    (run / "inputs" / "one").mkdir(parents=True)
    (run / "inputs" / "one" / "meta.yaml").write_text("source_type: MODEL\nsource_id: m-0\n")
    found = list(MlflowFiles(store.parent).models())

    models = [one.record for one in found if isinstance(one, SourceModel)]
    assert [(one.id, one.read_by) for one in models] == [("m-0", [str(uuid.UUID(own_id))])]
    named = [Path(one.where).name for one in found if isinstance(one, Problem)]
    assert named == ["m-2", "bytes"]


def test_looking_changes_nothing(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """A dry run counts what would come; afterwards there is no run, and no experiment."""
    own_id = uuid.uuid4().hex
    (made_run(store, own_id) / "params" / "p").write_text("1")
    code, told = bring("mlflow", store.parent, "--dry-run")

    assert (code, told["counts"]["created"], told["counts"]["params"]) == (0, 1, 1)
    assert store.parent.parent.name not in {one.name for one in client.every(client.experiments.list)}
    with pytest.raises(NotFound):
        client.runs.show(own_id)


def test_what_cannot_be_read_is_named_and_the_rest_comes(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """Half-written files, broken lines, links out of the folder: each with file and line, exit 1, and all else is here."""
    good = made_run(store, own_id := uuid.uuid4().hex)
    (good / "metrics" / "loss").write_text("1767225600000 0.5 0\n17672256\n1767225600002 inf 2\n1767225600003 x 3\n")
    (good / "params" / "bytes").write_bytes(b"\xff\xfe")
    (good / "artifacts" / "out").symlink_to("/etc/hostname")
    (good / "artifacts" / "kept.txt").write_text("kept")
    half = made_run(store, uuid.uuid4().hex)
    (half / "meta.yaml").write_text("run_id: abc\nstatus: [3")
    empty = made_run(store, uuid.uuid4().hex)
    (empty / "meta.yaml").write_text("")
    (store.parent / "strange").mkdir()
    (store.parent / "strange" / "file").write_text("x")
    code, told = bring("mlflow", store.parent)

    assert code == 1
    named = {one["where"].removeprefix(f"{store.parent}/") for one in told["problems"]}
    run = f"7/{own_id}"
    assert named == {
        f"{run}/metrics/loss:2",
        f"{run}/metrics/loss:4",
        f"{run}/params/bytes",
        f"{run}/artifacts/out",
        f"7/{half.name}/meta.yaml",
        f"7/{empty.name}/meta.yaml",
        "strange",
    }
    points = client.runs.metric(own_id, "loss").items
    assert [(one.step, one.value) for one in points] == [(0, 0.5), (2, "Infinity")]
    assert [one.path for one in client.runs.artifacts(own_id)] == ["kept.txt"]


def test_what_came_later_is_added(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """A run that was running has its new points, state and files after the next import."""
    run = made_run(store, own_id := uuid.uuid4().hex)
    meta = (run / "meta.yaml").read_text()
    (run / "meta.yaml").write_text(
        meta.replace("status: 3", "status: 1").replace("end_time: 1767225601000", "end_time: null")
    )
    (run / "metrics" / "loss").write_text("1767225600000 0.5 0\n")
    bring("mlflow", store.parent)
    assert client.runs.show(own_id).status == "running"
    client.runs.update(own_id, tags={"mine": "kept"})
    (run / "meta.yaml").write_text(meta)
    (run / "metrics" / "loss").write_text("1767225600000 0.5 0\n1767225600001 0.25 1\n")
    (run / "artifacts" / "late.txt").write_text("late")
    code, told = bring("mlflow", store.parent)

    shown = client.runs.show(own_id)
    assert (code, told["counts"]["added"]) == (0, 1)
    assert (shown.status, shown.metrics, shown.tags["mine"]) == ("finished", {"loss": 0.25}, "kept")
    assert len(client.runs.metric(own_id, "loss").items) == 2
    assert b"".join(client.runs.artifact(own_id, "late.txt")) == b"late"


def test_runs_that_are_others_are_not_touched(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """A run of the same id that was tracked here, and one that has another parameter now, are refused with the reason."""
    mine = client.runs.create(id=new_id(), name="mine", params={"p": "1"})
    (made_run(store, uuid.UUID(mine.id).hex) / "params" / "p").write_text("2")
    changed = made_run(store, uuid.uuid4().hex)
    (changed / "params" / "p").write_text("1")
    bring("mlflow", store.parent)
    (changed / "params" / "p").write_text("other")
    code, told = bring("mlflow", store.parent)

    assert (code, told["counts"]["refused"]) == (1, 2)
    why = " ".join(one["what"] for one in told["problems"])
    assert "was not imported" in why
    assert "cannot become" in why
    assert client.runs.show(mine.id).name == "mine"
    assert client.runs.show(changed.name).params == {"p": "1"}


def test_one_id_in_two_folders_is_one_run(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """The first is taken; the second is named with where the first lies."""
    own_id = uuid.uuid4().hex
    first, second = made_run(store, own_id, "first"), made_run(store, f"copy-of-{own_id}", "second")
    meta = (second / "meta.yaml").read_text().replace(f"copy-of-{own_id}", own_id)
    (second / "meta.yaml").write_text(meta)
    code, told = bring("mlflow", store.parent)

    assert (code, told["counts"]["created"]) == (1, 1)
    (problem,) = told["problems"]
    assert {first.name, second.name} == {
        Path(problem["where"]).name,
        problem["what"].rpartition("/")[2].partition(";")[0],
    }
    assert client.runs.show(own_id).id == str(uuid.UUID(own_id))


def test_what_is_too_long_here_is_a_file(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """A parameter over the limit is told, and its whole value stands in a file of the run; the others are parameters."""
    run = made_run(store, own_id := uuid.uuid4().hex)
    (run / "params" / "long").write_text("x" * 70_000)
    (run / "params" / "short").write_text("y")
    code, told = bring("mlflow", store.parent)

    assert code == 1
    assert [one["where"].rpartition(": ")[2] for one in told["problems"]] == ["params/long"]
    assert client.runs.show(own_id).params == {"short": "y"}
    kept = json.loads(b"".join(client.runs.artifact(own_id, "import/values.json")))
    assert kept == {"params/long": "x" * 70_000}


def test_a_large_run_comes_in_parts(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """More points than one request takes, and files beside them."""
    run = made_run(store, own_id := uuid.uuid4().hex)
    lines = "".join(f"{1_767_225_600_000 + step} {step} {step}\n" for step in range(60_000))
    (run / "metrics" / "loss").write_text(lines)
    (run / "artifacts" / "a.txt").write_text("a")
    code, _ = bring("mlflow", store.parent)

    assert code == 0
    assert client.runs.show(own_id).metrics == {"loss": 59_999}
    assert bring("mlflow", store.parent, "--verify")[0] == 0


def test_places_that_are_no_store(tmp_path: Path, cli: Cli) -> None:
    """A folder that is not there, one of something else and an address of nothing end with 1 and say what to give."""
    (tmp_path / "other" / "folder").mkdir(parents=True)
    for source, said in (
        (tmp_path / "none", "There is no folder"),
        (tmp_path / "other", "is no file store of MLflow"),
        ("ftp://x/y", "is no store of MLflow"),
        (f"sqlite:///{tmp_path}/none.db", "There is no file"),
        ("mysql://u:p@h/db", "Start `mlflow server` on it"),
    ):
        ran = cli("import", "mlflow", str(source))
        assert (ran.code, said in ran.err) == (1, True), ran.err


def test_only_chosen_experiments(store: Path, client: gimbal.Client, bring: Bring) -> None:
    """`--experiment` leaves the others where they are."""
    other = store.parent / "8"
    other.mkdir()
    (other / "meta.yaml").write_text(
        f"experiment_id: '8'\nname: {store.parent.parent.name}-other\nlifecycle_stage: active\n"
    )
    made_run(store, uuid.uuid4().hex)
    made_run(other, own_id := uuid.uuid4().hex)
    _, told = bring("mlflow", store.parent, "--experiment", f"{store.parent.parent.name}-other")

    assert told["counts"]["created"] == 1
    assert told["counts"]["registered"] == 0
    assert client.runs.show(own_id).experiment == f"{store.parent.parent.name}-other"


def test_the_report_for_people(store: Path, cli: Cli) -> None:
    """Counts in a column, problems below, and the last line says whether all is here."""
    run = made_run(store, uuid.uuid4().hex)
    (run / "metrics" / "loss").write_text("1767225600000 0.5 0\n")
    ran = cli("import", "mlflow", str(store.parent))

    assert ran.code == 0
    assert ran.lines[0].startswith("Imported: ")
    assert any(line.split() == ["runs", "new", "1"] for line in ran.lines)
    assert ran.lines[-1] == "All of it is here."
