"""Everything that the fluent interface keeps as a file: tables, pictures, figures, dictionaries, texts, folders."""

import io
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from facts import tell
from PIL import Image

mlflow.set_experiment(sys.argv[1])
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as given:
    (Path(given) / "deep").mkdir()
    (Path(given) / "deep" / "a.txt").write_text("deep")
    mlflow.log_artifacts(given, "folder")
    mlflow.log_dict({"a": [1, {"b": None}]}, "some/config.json")
    mlflow.log_dict({"a": [1, 2]}, "some/config.yaml")
    mlflow.log_text("voilà", "some/naïve text.txt")
    mlflow.log_table({"question": ["why?", "who?"], "score": [0.5, 1.0]}, "tables/answers.json")
    mlflow.log_table(pd.DataFrame({"question": ["where?"], "score": [0.25]}), "tables/answers.json")
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    mlflow.log_figure(figure, "figures/line.png")
    noise = np.random.default_rng(7).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    mlflow.log_image(noise, "images/noise.png")
    mlflow.log_image(Image.fromarray(noise), key="sample", step=1)
    mlflow.log_image(mlflow.Image(noise), key="sample", step=2)
    mlflow.log_stream(io.BytesIO(b"first second"), "streamed.bin")
    table = mlflow.load_table("tables/answers.json", run_ids=[run.info.run_id])
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/some/naïve text.txt")
    config = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/some/config.json")
    picture = mlflow.artifacts.load_image(f"{run.info.artifact_uri}/images/noise.png")
tell(
    run=run.info.run_id,
    rows=table["score"].tolist(),
    text=text,
    config=config,
    same=bool((np.asarray(picture) == noise).all()),
)
