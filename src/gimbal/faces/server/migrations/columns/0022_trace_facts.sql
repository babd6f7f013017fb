-- What was said of traces beside their spans: of each fact the newest version counts, and one that is gone hides those before.
CREATE TABLE IF NOT EXISTS trace_facts
(
    project LowCardinality(String),
    trace_id String,
    kind LowCardinality(String),
    name String,
    value String CODEC(ZSTD(1)),
    gone UInt8,
    written_us Int64
)
ENGINE = ReplacingMergeTree(written_us)
ORDER BY (project, trace_id, kind, name)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
