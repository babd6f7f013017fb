-- Points of metrics, by metric before run: a chart shows one metric of hundreds of runs, and so they lie together. By run
-- first (run_points), a chart of 500 runs read through all that these had logged.
-- The key has the whole point, value included: in a tight loop several have one step and one moment.
-- What is in run_points is taken over by the server when it starts: so it is after a restore, too.
CREATE TABLE IF NOT EXISTS metric_points
(
    project LowCardinality(String),
    name LowCardinality(String),
    run_id String CODEC(ZSTD),
    step Int64 CODEC(Delta, ZSTD),
    at_us Int64 CODEC(DoubleDelta, ZSTD),
    value Float64 CODEC(ZSTD),
    bits UInt64 MATERIALIZED reinterpretAsUInt64(value) CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (project, name, run_id, step, at_us, bits)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
