CREATE TABLE IF NOT EXISTS labels (
    project LowCardinality(String),
    endpoint LowCardinality(String),
    prediction_id String,
    value Float64,
    at_us Int64,
    author String,
    written_us Int64 DEFAULT toUnixTimestamp64Micro(now64(6))
) ENGINE = ReplacingMergeTree(written_us)
ORDER BY (project, endpoint, prediction_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
