CREATE TABLE IF NOT EXISTS scores (
    project LowCardinality(String),
    id String,
    target_kind LowCardinality(String),
    target_id String,
    name LowCardinality(String),
    value Nullable(Float64),
    label String,
    explanation String,
    source LowCardinality(String),
    author String,
    missing LowCardinality(String),
    at_us Int64,
    written_us Int64 DEFAULT toUnixTimestamp64Micro(now64(6))
) ENGINE = ReplacingMergeTree(written_us)
ORDER BY (project, target_kind, target_id, name, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
