ALTER TABLE spans ADD COLUMN IF NOT EXISTS weight Float64 DEFAULT 1;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS randomness Nullable(UInt64);
ALTER TABLE spans ADD INDEX IF NOT EXISTS by_written written_us TYPE minmax GRANULARITY 1;
CREATE TABLE IF NOT EXISTS trace_verdicts (
    project LowCardinality(String),
    trace_id String,
    round Int64,
    weight Float64,
    why LowCardinality(String),
    again UInt8,
    INDEX by_round round TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree(round)
ORDER BY (project, trace_id)
TTL toDateTime(intDiv(round, 1000000)) + INTERVAL 30 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
