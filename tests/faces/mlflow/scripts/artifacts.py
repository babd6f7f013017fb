"""Files by MLflow's client: one, a folder, text, a listing, a download, a delete, and one that goes in parts."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import mlflow
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from requests import HTTPError

ODD = "à la carte/naïve 100%.txt"
BIG_MB = int(os.environ.get("BIG_MB", "0"))


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refused(ask: Callable[[], object]) -> str:
    try:
        ask()
    except (MlflowException, HTTPError) as problem:
        return str(problem)
    raise AssertionError("it was not refused")


name = sys.argv[1]
mlflow.set_experiment(f"files {name}")
with tempfile.TemporaryDirectory() as given:
    folder = Path(given) / "many"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "er" / "b.bin").write_bytes(bytes(range(256)) * 40_000)
    (folder / "empty").write_bytes(b"")
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(folder / "a.txt"))
        mlflow.log_artifact(str(folder / "a.txt"), "plots")
        mlflow.log_artifacts(str(folder), "many")
        mlflow.log_text("voilà", ODD)
        mlflow.log_dict({"a": [1, 2]}, "plots/d.json")
    client, run_id = MlflowClient(), run.info.run_id
    listed = [(one.path, one.is_dir, one.file_size) for one in client.list_artifacts(run_id)]
    odd_folder = ODD.partition("/")[0]
    assert listed == [("a.txt", False, 1), ("many", True, None), ("plots", True, None), (odd_folder, True, None)], (
        listed
    )
    assert [one.path for one in client.list_artifacts(run_id, "plots")] == ["plots/a.txt", "plots/d.json"]
    assert client.list_artifacts(run_id, "plots/a.txt") == []
    assert client.list_artifacts(run_id, "nowhere") == []
    # The same by the proxy's own list, which is asked with whole URIs.
    by_uri = list_artifacts(artifact_uri=f"{run.info.artifact_uri}/many")
    assert [one.path for one in by_uri] == ["many/a.txt", "many/deep", "many/empty"], by_uri
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/{ODD}") == "voilà"
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/plots/d.json") == {"a": [1, 2]}
    got = Path(download_artifacts(run_id=run_id, artifact_path="many", dst_path=str(Path(given) / "got")))
    for path in (one for one in folder.rglob("*") if one.is_file()):
        assert (got / path.relative_to(folder)).read_bytes() == path.read_bytes()
    repo = get_artifact_repository(run.info.artifact_uri)
    repo.delete_artifacts("many/deep")
    assert [one.path for one in client.list_artifacts(run_id, "many")] == ["many/a.txt", "many/empty"]
    told = refused(lambda: download_artifacts(run_id=run_id, artifact_path="no/such.txt"))
    assert "such.txt" in told or "404" in told, told
    if BIG_MB:
        big = Path(given) / "big.bin"
        with big.open("wb") as file:
            for number in range(BIG_MB):
                file.write(hashlib.sha256(str(number).encode()).digest() * 32_768)
        client.log_artifact(run_id, str(big), "parts")
        back = Path(
            download_artifacts(run_id=run_id, artifact_path="parts/big.bin", dst_path=str(Path(given) / "back"))
        )
        assert digest(back) == digest(big)
    client.delete_run(run_id)
    told = refused(lambda: client.log_artifact(run_id, str(folder / "a.txt")))
    assert "active" in told, told
print("ok")
