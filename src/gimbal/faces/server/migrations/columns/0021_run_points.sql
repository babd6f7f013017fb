-- Points of metrics. The key has the whole point, value included: in a tight loop several have one step and one moment,
-- and MLflow's clients, whose step is 0 where none is given, send such points all the time.
-- What is in run_metrics and run_metrics_latest is taken over by the server when it starts: so it is after a restore, too.
CREATE TABLE IF NOT EXISTS run_points
(
    project LowCardinality(String),
    run_id String,
    name LowCardinality(String),
    step Int64 CODEC(Delta, ZSTD),
    at_us Int64 CODEC(DoubleDelta, ZSTD),
    value Float64 CODEC(ZSTD),
    bits UInt64 MATERIALIZED reinterpretAsUInt64(value) CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (project, run_id, name, step, at_us, bits)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
