ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS repeat UInt16;
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS slice String;
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS weight Float64 DEFAULT 1;
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS notes String;
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS output String;
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS failure LowCardinality(String);
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS cache_key String;
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS cached Bool;
ALTER TABLE eval_results ADD INDEX IF NOT EXISTS ix_cache_key cache_key TYPE bloom_filter(0.01) GRANULARITY 1;
