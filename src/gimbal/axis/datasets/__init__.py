"""Datasets: immutable snapshots of tables, with their schema, row count and a profile of every column.

A snapshot is a version of kind `dataset` (`axis/assets`) whose one file is Parquet. `runs` note which snapshots they
read, `monitors` compare production with one.
"""

from gimbal.axis.datasets.model import CategoryCount, ColumnProfile, ColumnSchema, DatasetManifest, DatasetView

__all__ = ["CategoryCount", "ColumnProfile", "ColumnSchema", "DatasetManifest", "DatasetView"]
