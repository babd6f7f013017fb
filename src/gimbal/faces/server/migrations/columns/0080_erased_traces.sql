-- Which traces were erased, by a salted hash: spans of them that come late, or back from a backup, are erased again.
CREATE TABLE IF NOT EXISTS erased_traces (
    project LowCardinality(String),
    mark String,
    erasure String,
    at_us Int64
) ENGINE = ReplacingMergeTree(at_us)
ORDER BY (project, erasure, mark)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
