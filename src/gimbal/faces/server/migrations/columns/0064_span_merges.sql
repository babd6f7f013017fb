-- Parts are merged when there are more of a size: spans come in many small commits, and at the default every span is
-- written again so often that merging takes more of the processor than storing it did (bench/ingest.py).
ALTER TABLE spans MODIFY SETTING merge_selector_base = 20;
