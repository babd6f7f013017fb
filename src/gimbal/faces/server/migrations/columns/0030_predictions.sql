CREATE TABLE IF NOT EXISTS predictions (
    project LowCardinality(String),
    endpoint LowCardinality(String),
    prediction_id String,
    at_us Int64,
    event_us Int64,
    entity String,
    version LowCardinality(String),
    number_names Array(LowCardinality(String)),
    numbers Array(Nullable(Float64)),
    text_names Array(LowCardinality(String)),
    texts Array(Nullable(String)),
    predicted String,
    score Nullable(Float64),
    trace_id String,
    INDEX by_id prediction_id TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree
ORDER BY (project, endpoint, event_us, prediction_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
