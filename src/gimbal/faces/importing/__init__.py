"""Brings runs over from other trackers: `gimbal import mlflow | wandb | neptune | trackio`.

`sources/` reads, one file for each form in which runs lie elsewhere, into the records of `records`; `shaping` makes them fit
ours, `carrier` takes them to the server in large batches, `registry` brings registered models after them, and `report`
counts. Nothing is kept beside the data: each run here carries the digest of what it was there, so a second call sees by
itself what has come, also after the first was killed.
"""
