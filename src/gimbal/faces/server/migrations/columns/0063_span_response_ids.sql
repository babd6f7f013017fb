ALTER TABLE spans ADD COLUMN IF NOT EXISTS response_id String DEFAULT '' AFTER finish;
