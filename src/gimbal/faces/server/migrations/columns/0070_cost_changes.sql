-- Every cost that was changed after it was stored. A rerating that was interrupted writes a row again, not twice.
CREATE TABLE IF NOT EXISTS cost_changes (
    project LowCardinality(String),
    rerating String,
    trace_id String,
    span_id String,
    start_us Int64,
    provider LowCardinality(String),
    model LowCardinality(String),
    old_cost Nullable(Decimal(28, 12)),
    old_saved Nullable(Decimal(28, 12)),
    old_unpriced LowCardinality(String),
    old_book LowCardinality(String),
    new_cost Nullable(Decimal(28, 12)),
    new_saved Nullable(Decimal(28, 12)),
    new_parts Map(LowCardinality(String), Decimal(28, 12)),
    new_unpriced LowCardinality(String),
    new_book LowCardinality(String),
    reason LowCardinality(String),
    changed_by LowCardinality(String),
    changed_us Int64,
    version_us Int64,
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree(changed_us)
ORDER BY (project, rerating, start_us, trace_id, span_id, new_book)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
