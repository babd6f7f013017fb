-- Points of metrics. The key makes a point that is sent again the same point: run, name, step and time.
CREATE TABLE IF NOT EXISTS run_metrics
(
    project LowCardinality(String),
    run_id String,
    name LowCardinality(String),
    step Int64,
    at_us Int64,
    value Float64
)
ENGINE = ReplacingMergeTree
ORDER BY (project, run_id, name, step, at_us)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- The newest point of each metric (highest step, then latest), so that lists of runs never read whole histories.
CREATE TABLE IF NOT EXISTS run_metrics_latest
(
    project LowCardinality(String),
    run_id String,
    name LowCardinality(String),
    latest AggregateFunction(argMax, Tuple(Float64, Int64, Int64), Tuple(Int64, Int64))
)
ENGINE = AggregatingMergeTree
ORDER BY (project, run_id, name)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS run_metrics_latest_feed TO run_metrics_latest AS
SELECT project, run_id, name, argMaxState((value, step, at_us), (step, at_us)) AS latest
FROM run_metrics
GROUP BY project, run_id, name;
