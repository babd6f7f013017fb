-- Which row of a place counts is said by the generation of its run first, by the time only within one: what was written
-- while a run was open and arrives after its judgement replaces nothing. Rows of before are of generation 0.
ALTER TABLE eval_results ADD COLUMN IF NOT EXISTS generation UInt16;
ALTER TABLE eval_results MODIFY COLUMN written_us
    DEFAULT toUnixTimestamp64Micro(now64(6)) + bitShiftLeft(toInt64(generation), 52);
