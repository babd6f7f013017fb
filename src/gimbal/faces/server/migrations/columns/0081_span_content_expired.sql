-- Whether what was said is past its term and was taken out; the rest of the span stays.
ALTER TABLE spans ADD COLUMN IF NOT EXISTS content_expired UInt8 DEFAULT 0;
