"""`gimbal.autolog()` with real libraries, each in a program of its own: patches stay in the process that asked for them.

All but scikit-learn are no dependencies of ours: they are those of `.judges`, beside which our client has msgspec and httpx.
"""

import importlib.util
import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from bench.bar import Running
from tests.mlflow_clients import ROOT, trainer

import gimbal

HEAD = """
import sys, warnings, logging
import gimbal
from gimbal.faces.client.runs import current_run
gimbal.autolog()
import numpy as np
rng = np.random.default_rng(7)
X = rng.normal(size=(200, 4))
y = (X[:, 0] + X[:, 1] > 0).astype(int)
"""
TAIL = """
import msgspec
client = gimbal.Client()
print(msgspec.json.encode(client.runs.list(experiment=sys.argv[1]).items).decode())
"""


def ran(up: Running, code: str, experiment: str, python: str = sys.executable) -> list[dict[str, Any]]:
    """Run a program; return the runs of the experiment, newest first."""
    environ = {"GIMBAL_URL": up.url, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [python, "-c", HEAD + code + TAIL, experiment],
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "autolog" not in done.stderr, done.stderr
    return msgspec.json.decode(done.stdout.splitlines()[-1])


def test_a_fit_is_logged_into_the_run_of_here(up: Running) -> None:
    """Imported before or after; parameters, scores on what it was fitted with, time; a second one has a number."""
    code = """
from sklearn.linear_model import LogisticRegression
from sklearn.ensemble import RandomForestRegressor
with gimbal.run("fits", experiment="sk-here", environment=False, system_s=0):
    LogisticRegression(C=0.5).fit(X, y)
    LogisticRegression(C=2.0).fit(X=X, y=y)
    RandomForestRegressor(n_estimators=5, n_jobs=2).fit(X, X[:, 0])
"""
    (run,) = ran(up, code, "sk-here")

    params, metrics = run["params"], run["metrics"]
    assert (params["LogisticRegression.C"], params["LogisticRegression-2.C"]) == (0.5, 2.0)
    assert params["RandomForestRegressor.n_estimators"] == 5
    assert 0.9 < metrics["LogisticRegression/training_accuracy"] <= 1
    assert 0.9 < metrics["LogisticRegression-2/training_roc_auc"] <= 1
    assert 0.5 < metrics["RandomForestRegressor/training_r2"] <= 1
    assert metrics["LogisticRegression/fit_s"] > 0
    assert run["tags"] == {"autolog": "sklearn"}


def test_searches_and_pipelines_are_one_fit(up: Running) -> None:
    """Not one for every candidate and step; what was found is a parameter."""
    code = """
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
with gimbal.run("search", experiment="sk-search", environment=False, system_s=0):
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=3)
    search.fit(X, y)
    search.predict(X)
"""
    (run,) = ran(up, code, "sk-search")

    assert {name.split(".")[0] for name in run["params"]} == {"GridSearchCV"}
    assert run["params"]["GridSearchCV.best.logisticregression__C"] in {0.1, 1.0}
    assert {name.split("/")[0] for name in run["metrics"]} == {"GridSearchCV"}


def test_without_a_run_a_fit_makes_one(up: Running) -> None:
    """It ends with the fit: finished, or failed with what was raised, which goes on as it was."""
    code = """
from sklearn.svm import SVC
SVC().fit(X, y)
try:
    SVC(C=-1.0).fit(X, y)
except ValueError:
    pass
else:
    raise AssertionError
"""
    failed, finished = ran(up, code, "default")[:2]

    assert (finished["name"], finished["status"], finished["params"]["SVC.C"]) == ("SVC", "finished", 1.0)
    assert (failed["status"], failed["params"]["SVC.C"]) == ("failed", -1.0)
    assert "C" in failed["error"]


def test_a_model_is_what_it_would_be_without(up: Running) -> None:
    """Classes defined later, clones, pickles, signatures, and a stop of autolog."""
    code = """
import inspect, pickle
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression

class Mine(ClassifierMixin, BaseEstimator):
    def __init__(self, k=1): self.k = k
    def fit(self, X, y, weight=None): self.classes_ = np.unique(y); return self
    def predict(self, X): return np.full(len(X), self.classes_[0])

class Child(Mine):
    def fit(self, X, y): return super().fit(X, y)

with gimbal.run("own", experiment="sk-own", environment=False, system_s=0):
    assert Child(k=3).fit(X, y).classes_.tolist() == [0, 1]
    gimbal.autolog(disable=True)
    model = LogisticRegression().fit(X, y)
assert list(inspect.signature(Mine.fit).parameters) == ["self", "X", "y", "weight"]
assert (pickle.loads(pickle.dumps(model)).predict(X) == clone(model).fit(X, y).predict(X)).all()
"""
    (run,) = ran(up, code, "sk-own")

    assert run["params"] == {"Child.k": 3}
    assert set(run["metrics"]) >= {"Child/fit_s", "Child/training_accuracy"}


@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="mlflow is not installed")
def test_where_mlflow_logs_gimbal_does_not(up: Running) -> None:
    """Its autolog is on for the library: two of them would log everything twice."""
    code = """
import mlflow.utils.autologging_utils as theirs
theirs.AUTOLOGGING_INTEGRATIONS["sklearn"] = {"disable": False}
from sklearn.linear_model import LogisticRegression
with gimbal.run("left", experiment="sk-mlflow", environment=False, system_s=0):
    LogisticRegression().fit(X, y)
"""
    (run,) = ran(up, code, "sk-mlflow")

    assert (run["params"], run["metrics"]) == ({}, {})


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosting_logs_every_round(up: Running, client: gimbal.Client, library: str) -> None:
    """By the library's own training and by its estimators, round by round; a search logs none of its candidates."""
    train = {
        "xgboost": """
import xgboost
data = xgboost.DMatrix(X, y)
xgboost.train({"max_depth": 2, "objective": "binary:logistic"}, data, 5, evals=[(data, "train")], verbose_eval=False)
model = xgboost.XGBClassifier(n_estimators=4)
model.fit(X, y, eval_set=[(X, y)], verbose=False)
""",
        "lightgbm": """
import lightgbm
data = lightgbm.Dataset(X, y)
lightgbm.train({"max_depth": 2, "objective": "binary", "verbose": -1}, data, 5, valid_sets=[data], valid_names=["train"])
model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1)
model.fit(X, y, eval_set=[(X, y)])
""",
    }[library]
    indented = "".join(f"    {line}\n" for line in train.splitlines())
    code = f"with gimbal.run('boost', experiment='{library}', environment=False, system_s=0):\n{indented}"
    (run,) = ran(up, code, library, trainer(library))

    assert run["params"][f"{library}.max_depth"] == 2
    assert run["params"][f"{library}.num_boost_round"] == 5
    (loss,) = [name for name in run["metrics"] if name.startswith(f"{library}/train/")]
    assert [point.step for point in client.runs.metric(run["id"], loss).items] == [0, 1, 2, 3, 4]
    rounds = [name for name in run["metrics"] if name.startswith(f"{library}-2/") and "best" not in name]
    assert rounds
    assert [point.step for point in client.runs.metric(run["id"], rounds[0]).items] == [0, 1, 2, 3]
    assert any(name.endswith("Classifier/fit_s") for name in run["metrics"])


PLAIN = """
import torch
torch.manual_seed(7)
points = torch.randn(64, 2)
truth = points.sum(1, keepdim=True)

def train(model, steps, **how):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **how)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(points), truth)
        loss.backward()
        optimizer.step()
        schedule.step()
    return loss.item()
"""


def test_plain_pytorch_logs_the_steps_of_its_optimizers(up: Running, client: gimbal.Client) -> None:
    """Losses and learning rates inside a run, nothing without one, the loss itself in mixed precision."""
    code = f"""{PLAIN}
model = torch.nn.Linear(2, 1)
train(model, 3)
with gimbal.run("plain", experiment="torch", environment=False, system_s=0) as run:
    last = train(model, 5, momentum=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss = torch.nn.functional.mse_loss(model(points), truth)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    gimbal.autolog(disable=True)
    train(model, 2)
    run.log({{"last": last, "scaled": loss.item()}})
"""
    (run,) = ran(up, code, "torch", trainer("torch"))

    params, metrics = run["params"], run["metrics"]
    assert (params["torch.optimizer"], params["torch.momentum"], params["torch.parameters"]) == ("SGD", 0.5, 3)
    assert (params["torch-2.optimizer"], params["torch-2.lr"]) == ("Adam", 0.01)
    assert metrics["torch/loss"] == pytest.approx(metrics["last"])
    assert metrics["torch-2/loss"] == pytest.approx(metrics["scaled"])
    assert metrics["torch/lr"] == pytest.approx(0.025)
    assert [point.step for point in client.runs.metric(run["id"], "torch/loss").items] == [1, 2, 3, 4, 5]
    assert run["tags"] == {"autolog": "torch"}
    assert not any(name.startswith("torch-3") for name in [*params, *metrics])


@pytest.mark.slow
@pytest.mark.parametrize("package", ["lightning", "pytorch_lightning"])
def test_lightning_logs_what_the_model_logs(up: Running, client: gimbal.Client, package: str) -> None:
    """Hyperparameters, losses of steps and epochs and validations, one run for a fit, and the callbacks as they were."""
    code = f"""
import tempfile
import {package} as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

class Line(pl.LightningModule):
    def __init__(self, width=2, rate=0.05):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def training_step(self, batch):
        loss = self.loss(batch)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)

points = torch.randn(64, 2)
loader = DataLoader(TensorDataset(points, points.sum(1, keepdim=True)), batch_size=16)
with tempfile.TemporaryDirectory() as folder, gimbal.run("fit", experiment="{package}", environment=False, system_s=0):
    trainer = pl.Trainer(max_epochs=2, logger=False, enable_progress_bar=False, log_every_n_steps=2, accelerator="cpu",
                         default_root_dir=folder, enable_checkpointing=False, enable_model_summary=False)
    before = list(trainer.callbacks)
    trainer.fit(Line(), loader, loader)
    assert trainer.callbacks == before
"""
    (run,) = ran(up, code, package, trainer(package))

    params, metrics = run["params"], run["metrics"]
    assert run["status"] == "finished"
    assert (params["lightning.width"], params["lightning.rate"], params["lightning.optimizer"]) == (2, 0.05, "SGD")
    assert (params["lightning.max_epochs"], params["lightning.parameters"]) == (2, 3)
    steps = {name: [point.step for point in client.runs.metric(run["id"], name).items] for name in metrics}
    assert steps["lightning/loss_step"] == [2, 4, 6, 8]
    assert steps["lightning/loss_epoch"] == [4, 8]
    assert steps["lightning/val_loss"] == [4, 8]
    assert set(metrics) == {"lightning/loss_step", "lightning/loss_epoch", "lightning/val_loss"}


@pytest.mark.slow
def test_the_trainer_of_transformers_logs_itself(up: Running, client: gimbal.Client) -> None:
    """Its arguments without tokens, the model's configuration, losses and evaluations; the steps are not logged twice."""
    code = """
import tempfile
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

rows = [{"input_ids": torch.tensor([1, 2 + at % 2, 3]), "labels": torch.tensor(at % 2)} for at in range(16)]
config = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, max_position_embeddings=8)
with tempfile.TemporaryDirectory() as folder, gimbal.run("tiny", experiment="transformers", environment=False, system_s=0):
    asked = TrainingArguments(
        folder, max_steps=4, per_device_train_batch_size=4, logging_steps=2, eval_strategy="steps", eval_steps=4, report_to=[],
        save_strategy="no", use_cpu=True, disable_tqdm=True, hub_token="hf_secret", learning_rate=0.01,
    )
    trainer = Trainer(BertForSequenceClassification(config), asked, train_dataset=rows, eval_dataset=rows)
    trainer.train()
"""
    (run,) = ran(up, code, "transformers", trainer("transformers"))

    params, metrics = run["params"], run["metrics"]
    assert (params["transformers.learning_rate"], params["transformers.max_steps"]) == (0.01, 4)
    assert params["transformers.model"] == "BertForSequenceClassification"
    assert params["transformers.config.hidden_size"] == 8
    assert "hf_secret" not in str(params)
    assert [point.step for point in client.runs.metric(run["id"], "transformers/loss").items] == [2, 4]
    assert metrics["transformers/eval_loss"] > 0
    assert metrics["transformers/train_loss"] > 0
    assert not any(name.startswith("torch") for name in [*params, *metrics])
