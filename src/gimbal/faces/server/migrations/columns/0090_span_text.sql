-- What people look for in words: axis/traces/wording.py asks by this very expression.
ALTER TABLE spans ADD INDEX IF NOT EXISTS late_by_text
    lowerUTF8(concat(input, '\n', output, '\n', documents, '\n', status_message)) TYPE text(tokenizer = splitByNonAlpha);
ALTER TABLE spans MATERIALIZE INDEX late_by_text SETTINGS mutations_sync = 0;
