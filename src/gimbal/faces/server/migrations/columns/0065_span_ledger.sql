ALTER TABLE spans ADD COLUMN IF NOT EXISTS usage_classes Map(LowCardinality(String), Int64) AFTER reasoning_tokens;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS tier LowCardinality(String) DEFAULT '' AFTER usage_classes;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS parts Map(LowCardinality(String), Decimal(28, 12)) AFTER cost;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS saved Nullable(Decimal(28, 12)) AFTER parts;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS cached UInt8 DEFAULT 0 AFTER saved;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS endpoint LowCardinality(String) DEFAULT '' AFTER feature;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS key_id LowCardinality(String) DEFAULT '' AFTER endpoint;
ALTER TABLE spans ADD COLUMN IF NOT EXISTS tags Array(LowCardinality(String)) AFTER key_id;
