"""Pages of every search while another process writes: whatever was there before the first page comes once."""

import subprocess
import sys

from facts import tell
from mlflow import MlflowClient

WRITER = """
import sys, time
from mlflow import MlflowClient
client, experiment, name = MlflowClient(), sys.argv[1], sys.argv[2]
at = 0
while True:
    run = client.create_run(experiment, run_name=f"late {at}")
    client.log_metric(run.info.run_id, "loss", 0.5)
    client.set_terminated(run.info.run_id)
    client.create_experiment(f"{name} late {at}")
    client.create_registered_model(f"{name} late {at}")
    client.create_model_version(name, f"s3://bucket/late/{at}")
    at += 1
    print(at, flush=True)
"""
client, name = MlflowClient(), sys.argv[1]
experiment = client.create_experiment(name)
early = {"runs": set(), "experiments": set(), "models": set(), "versions": set()}
client.create_registered_model(name)
for at in range(12):
    run = client.create_run(experiment, run_name=f"early {at}")
    client.log_metric(run.info.run_id, "loss", at / 12)
    early["runs"].add(run.info.run_id)
    early["experiments"].add(client.create_experiment(f"{name} early {at}"))
    early["models"].add(client.create_registered_model(f"{name} early {at}").name)
    early["versions"].add(client.create_model_version(name, f"s3://bucket/early/{at}").version)
writer = subprocess.Popen([sys.executable, "-c", WRITER, experiment, name], stdout=subprocess.PIPE, text=True)
written = [int(writer.stdout.readline())]


def walk(search, key) -> list:
    """Return all keys of all pages, while the other writes between them."""
    found, token = [], None
    while True:
        page = search(token)
        found += [key(one) for one in page]
        token = page.token
        if not token or len(found) > 500:
            return found
        written.append(int(writer.stdout.readline()))


try:
    walks = {
        "runs": walk(
            lambda token: client.search_runs(
                [experiment], "metrics.loss >= 0", max_results=5, order_by=["metrics.loss DESC"], page_token=token
            ),
            lambda one: one.info.run_id,
        ),
        "experiments": walk(
            lambda token: client.search_experiments(
                filter_string=f"name LIKE '{name} %'", max_results=5, order_by=["name ASC"], page_token=token
            ),
            lambda one: one.experiment_id,
        ),
        "models": walk(
            lambda token: client.search_registered_models(f"name LIKE '{name} %'", max_results=5, page_token=token),
            lambda one: one.name,
        ),
        "versions": walk(
            lambda token: client.search_model_versions(f"name = '{name}'", max_results=5, page_token=token),
            lambda one: one.version,
        ),
    }
finally:
    writer.kill()
    writer.wait()
tell(
    written=written[-1],
    missed={kind: sorted(early[kind] - set(found)) for kind, found in walks.items()},
    twice={kind: len(found) - len(set(found)) for kind, found in walks.items()},
)
