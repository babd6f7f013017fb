"""The predictive ring, once around: data → train → version → gate → serve → labels → drift."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

import gimbal
from demo.flights import CATEGORIES, ENTITY, EVENT_TIME, FEATURES, LABEL, departures, months
from demo.story import Story
from gimbal.axis.endpoints.model import Target
from gimbal.axis.gates.model import Rule
from gimbal.axis.monitors.model import Label, MonitorReport
from gimbal.kernel.errors import GimbalError, NotFound

MODEL, ENDPOINT, MONITOR = "model:flights/delay", "delay", "delay-quality"
PARAMS = {"max_iter": 80, "learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 300}
# Stated before looking at April: better than chance by a margin that a dispatcher would notice.
LEAST_AUC, MOST_LOG_LOSS = 0.63, 0.62
BATCH, LABELS_AT_ONCE = 5_000, 20_000


def estimator() -> Pipeline:
    """Return the model: airline, origin and destination as categories, missing values as they are."""
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    columns = ColumnTransformer(
        [("categories", encode, CATEGORIES)], remainder="passthrough", verbose_feature_names_out=False
    )
    model = HistGradientBoostingClassifier(random_state=0, categorical_features=[0, 1, 2], **PARAMS)
    return Pipeline([("columns", columns), ("model", model)])


def turn(client: gimbal.Client, story: Story) -> None:
    """Take the model once around."""
    with story.step("336,776 departures of 2013 read, with the weather an hour before"):
        rows = departures()
    train, april = months(rows, 1, 3, labelled=True), months(rows, 4, 4, labelled=True)
    with story.step("January to March → dataset:flights/train, April → dataset:flights/april"):
        trained_on = snapshot(client, "flights/train", train)
        held_out = snapshot(client, "flights/april", april)
    story.note(f"{trained_on}: {len(train):,} rows; {held_out}: {len(april):,} rows, unseen by training")
    version = standing(client, trained_on)
    if version:
        story.note(
            f"{version}, trained on {trained_on}, is in production from an earlier turn; it is not trained again"
        )
    else:
        with story.step("trained in a tracked run, saved without pickle → model:flights/delay"):
            version = train_and_register(client, train, trained_on)
    story.note(f"{version} with signature, example, environment, lineage to run and data")
    promote(client, story, version, held_out)
    with story.step(f"an endpoint serves {MODEL}@production at POST /v2/models/{ENDPOINT}/infer"):
        client.endpoints.set(slug=ENDPOINT, targets=[Target(ref=f"{MODEL}@production")])
        ready = client.transport.dialect("GET", f"/v2/models/{ENDPOINT}", None)
    story.note(f"{ready['name']}, version {ready['versions'][0]}: {len(ready['inputs'])} inputs by name")
    later = months(rows, 5, 12, labelled=False)
    # Windows are months in UTC; the last evening in New York is 2014 there and would be a window of 84 flights.
    score(client, story, later[later[EVENT_TIME] < pd.Timestamp("2014-01-01", tz="UTC")])
    watch(client, story, trained_on, held_out)


def snapshot(client: gimbal.Client, name: str, rows: pd.DataFrame) -> str:
    """Store rows as a dataset version; the same rows again are the same version."""
    buffer = BytesIO()
    rows[[*FEATURES, LABEL]].to_parquet(buffer, index=False)
    version = client.datasets.create(buffer.getvalue(), name=name)
    return f"dataset:{version.name}@v{version.number}"


def standing(client: gimbal.Client, trained_on: str) -> str:
    """Return the version in production when it was made from this data, else nothing."""
    try:
        version = client.assets.show(f"{MODEL}@production")
    except NotFound:
        return ""
    return str(version.ref) if any(str(ref) == trained_on for ref in version.inputs) else ""


def train_and_register(client: gimbal.Client, train: pd.DataFrame, trained_on: str) -> str:
    """Train in a run with a score per fold in time; return the model version."""
    late = train[LABEL] == 1
    with gimbal.run("flights-delay", experiment="flights", params=PARAMS, inputs=[trained_on], client=client) as run:
        for fold, (before, after) in enumerate(TimeSeriesSplit(4).split(train)):
            model = estimator().fit(train.iloc[before][FEATURES], late.iloc[before])
            told = model.predict_proba(train.iloc[after][FEATURES])[:, 1]
            metrics = {"auc": roc_auc_score(late.iloc[after], told), "log_loss": log_loss(late.iloc[after], told)}
            run.log(metrics, step=fold)
        model = estimator().fit(train[FEATURES], late)
        version = gimbal.log_model(
            "flights/delay", model, example=train[FEATURES].head(50), inputs=[trained_on], client=client
        )
    return f"model:{version.name}@v{version.number}"


def promote(client: gimbal.Client, story: Story, version: str, held_out: str) -> None:
    """Set the gate and ask it; a version that stands on production already stays there."""
    client.gates.set(
        pattern=f"{MODEL}@production",
        rules=[
            Rule(evidence="dataset", source=held_out, metric="auc", threshold=LEAST_AUC),
            Rule(
                evidence="dataset",
                source=held_out,
                metric="log_loss",
                threshold=MOST_LOG_LOSS,
                higher_is_better=False,
            ),
        ],
    )
    if "production" in client.assets.show(version).aliases:
        story.note(f"{version} is in production already")
        return
    with story.step("the gate weighs AUC and log loss on April, with intervals, against the stated thresholds"):
        decision = gimbal.promote(version, "production", reason="first turn of the ring", client=client)
    for outcome in decision.outcomes:
        story.note(outcome.text)
    story.note(f"{decision.verdict}: {MODEL}@production" if decision.verdict == "promoted" else decision.text)
    story.look("the gate's decision", f"/gates/decisions/{decision.id}")
    if decision.verdict != "promoted":
        raise GimbalError("The gate refused the model; nothing is served.", todo="Read the decision.")


def score(client: gimbal.Client, story: Story, rows: pd.DataFrame) -> None:
    """Score May to December in batches, as they would have come; then the outcomes, a month late."""
    known = {day.start.date() for day in client.endpoints.traffic(ENDPOINT)}
    rows = rows[~rows[EVENT_TIME].dt.date.isin(known)]
    if rows.empty:
        story.note("every departure from May to December has been scored already")
        return
    labels: list[Label] = []
    with story.step(f"{len(rows):,} departures from May to December scored through the endpoint, each one recorded"):
        for start in range(0, len(rows), BATCH):
            part = rows.iloc[start : start + BATCH]
            times = [t.to_pydatetime() for t in part[EVENT_TIME]]
            answer = gimbal.predict(
                ENDPOINT, part[FEATURES], event_time=times, entity=part[ENTITY].tolist(), client=client
            )
            labels += outcomes(part, answer.ids, times)
    with story.step(f"{len(labels):,} outcomes arrive, each a month after its flight"):
        for start in range(0, len(labels), LABELS_AT_ONCE):
            client.labels.add(endpoint=ENDPOINT, labels=labels[start : start + LABELS_AT_ONCE])
    missing = len(rows) - len(labels)
    story.note(
        f"{missing:,} flights were cancelled or diverted: their outcome stays unknown, and is not taken for 'on time'"
    )


def outcomes(part: pd.DataFrame, ids: list[str], times: list[datetime]) -> list[Label]:
    """Return the labels of the rows whose outcome became known."""
    late: list[Any] = part[LABEL].tolist()
    return [
        Label(prediction_id=id_, value=value, at=(time + timedelta(days=30)).astimezone(UTC))
        for id_, value, time in zip(ids, late, times, strict=True)
        if value == value  # noqa: PLR0124 - NaN is the one value that is not itself
    ]


def watch(client: gimbal.Client, story: Story, reference: str, baseline: str) -> None:
    """Let the monitor look at every month and tell what it sees."""
    client.monitors.set(slug=MONITOR, endpoint=ENDPOINT, reference=reference, baseline=baseline, label=LABEL)
    with story.step("a monitor compares each month with the training data and with April"):
        report = gimbal.drift(MONITOR, client=client)
    tell(story, report)
    story.look("drift and quality per month", f"/monitors/{MONITOR}")
    story.look("the endpoint and its predictions", f"/endpoints/{ENDPOINT}")
    story.look("the model, its history and lineage", "/assets/model:flights%2Fdelay")


def tell(story: Story, report: MonitorReport) -> None:
    """Print a line per month."""
    base = report.baseline_auc
    story.note(f"April: AUC {base.value:.3f} [{base.low:.3f}, {base.high:.3f}]")
    for row in report.windows:
        gap = row.calibration.value
        off = f" Says {abs(gap) * 100:.1f} points too {'much' if gap < 0 else 'little'}." if gap is not None else ""
        drifted = [d.feature for d in row.drift if d.verdict == "drifted"]
        drift = f" Drifted: {', '.join(drifted)}." if drifted else ""
        story.note(f"{row.start:%B}: {row.verdict}. {row.text}{off}{drift}")
    story.note(report.text)
