"""`gimbal sweep`: a search for good parameters that is written down in a file, as trials that are processes.

`spec` reads the file, `searching` asks Optuna and tells it, `process` runs one trial, `on_ray` does so on a cluster, and
`child` is the process of a trial that is a function. The study stands on the server, so that a sweep goes on by its name.
"""
