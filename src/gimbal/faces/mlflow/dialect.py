"""Loads every part of MLflow's face, so that its routes are declared.

Source: the protobufs, clients and server of mlflow 3.17.2 and 3.18.0.
"""

from gimbal.faces.mlflow import (
    artifacts,
    assessments,
    batch,
    experiment_search,
    experiments,
    history,
    inputs,
    logged_models,
    old_traces,
    registered,
    runs,
    server_info,
    trace_search,
    trace_tags,
    traces,
    unsupported,
    versions,
    workspaces,
)

PARTS = (
    artifacts,
    assessments,
    batch,
    experiment_search,
    experiments,
    history,
    inputs,
    logged_models,
    old_traces,
    registered,
    runs,
    server_info,
    trace_search,
    trace_tags,
    traces,
    unsupported,
    versions,
    workspaces,
)
"""The modules with rows of the table."""
