"""Keras on PyTorch under MLflow's callback: epochs, and a model that is logged and loaded back."""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
import keras
import mlflow
import mlflow.keras
import mlflow.keras.autologging
import numpy as np
from facts import tell

mlflow.set_experiment(sys.argv[1])
mlflow.keras.autolog()
keras.utils.set_random_seed(7)
points = np.random.default_rng(7).normal(size=(64, 3)).astype("float32")
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
with mlflow.start_run() as run:
    model.fit(points, points.sum(1), epochs=2, batch_size=16, verbose=0)
logged = mlflow.last_logged_model()
loaded = mlflow.keras.load_model(logged.model_uri)
same = np.allclose(loaded.predict(points, verbose=0), model.predict(points, verbose=0), atol=1e-5)
tell(run=run.info.run_id, model=logged.model_id, same=bool(same))
