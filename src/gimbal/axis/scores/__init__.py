"""Scores: one judgement of a span, trace, session, example, run or prediction, by code, judge, human or end user.

Scorers are small functions registered by name; `evals` runs them over examples, online rooms over what happened.
"""

from gimbal.axis.scores.model import RecordScores, Score, ScoreRecorded, ScoreSource, ScoreTarget, ScoreValue

__all__ = ["RecordScores", "Score", "ScoreRecorded", "ScoreSource", "ScoreTarget", "ScoreValue"]
