CREATE TABLE IF NOT EXISTS span_events (
    project LowCardinality(String),
    trace_id String,
    span_id String,
    at_ns Int64,
    name LowCardinality(String),
    digest String,
    position UInt32,
    attributes String CODEC(ZSTD(1)),
    resource LowCardinality(String),
    scope LowCardinality(String),
    written_us Int64 DEFAULT toUnixTimestamp64Micro(now64(6))
) ENGINE = ReplacingMergeTree(written_us)
ORDER BY (project, trace_id, span_id, at_ns, name, digest)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
