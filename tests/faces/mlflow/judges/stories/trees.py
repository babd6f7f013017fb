"""Nested runs to three levels, searched with odd keys, as pandas shows them."""

import sys

import mlflow
from facts import tell

experiment = mlflow.set_experiment(sys.argv[1]).experiment_id
ids = {}
with mlflow.start_run(run_name="study", tags={"team/night shift": "it's ours"}) as outer:
    for fold in range(3):
        with mlflow.start_run(run_name=f"fold {fold}", nested=True) as inner:
            mlflow.log_params({"learning rate": 0.1 * (fold + 1), "opt.name": "Adam" if fold else "sgd", "ключ": "да"})
            mlflow.log_metrics({"val/loss: 10 per-cent": fold / 10, "val.f1": 1 - fold / 10})
            ids[inner.info.run_name] = inner.info.run_id
            if fold == 2:
                with mlflow.start_run(nested=True, run_name="leaf") as leaf:
                    ids["leaf"] = leaf.info.run_id
    detached = mlflow.start_run(
        run_name="beside", nested=True, parent_run_id=outer.info.run_id, log_system_metrics=False
    )
    mlflow.end_run("KILLED")


def names(text: str, **more: object) -> list[str]:
    return mlflow.search_runs([experiment], text, **more)["tags.mlflow.runName"].tolist()


table = mlflow.search_runs([experiment], order_by=["attributes.start_time ASC"])
tell(
    run=outer.info.run_id,
    ids=ids,
    parent=mlflow.get_parent_run(ids["leaf"]).info.run_id,
    children=sorted(names(f"tags.mlflow.parentRunId = '{outer.info.run_id}'")),
    columns=sorted(name for name in table.columns if not name.startswith("tags.mlflow.")),
    types={name: str(table[name].dtype) for name in ("start_time", "metrics.val.f1")},
    missing=int(table["metrics.val.f1"].isna().sum()),
    odd=names("metrics.`val/loss: 10 per-cent` < 0.15 AND params.`learning rate` = '0.2'"),
    quoted=names("metrics.\"val.f1\" > 0.85 AND params.\"ключ\" = 'да' AND params.`opt.name` ILIKE 'ADAM'"),
    apostrophe=names('tags.`team/night shift` = "it\'s ours"'),
    ordered=names(
        "attributes.status = 'FINISHED' AND params.`opt.name` LIKE '%d%'", order_by=["metrics.`val.f1` DESC"]
    ),
    limited=names("", max_results=2, order_by=["start_time DESC"]),
    everywhere=len(mlflow.search_runs(search_all_experiments=True, max_results=3)),
    by_name=len(mlflow.search_runs(experiment_names=[sys.argv[1]])),
)
