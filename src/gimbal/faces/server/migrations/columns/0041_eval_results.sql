CREATE TABLE IF NOT EXISTS eval_results (
    project LowCardinality(String),
    evaluation_id String,
    position UInt32,
    example_id String,
    cluster String,
    input String,
    expected String,
    text Nullable(String),
    sources Nullable(String),
    scores String,
    missing String,
    trace_id String,
    latency_ms Nullable(Float64),
    cost Nullable(Decimal(28, 12)),
    error String,
    written_us Int64 DEFAULT toUnixTimestamp64Micro(now64(6))
) ENGINE = ReplacingMergeTree(written_us)
ORDER BY (project, evaluation_id, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
