"""Gates: evidence → statistics → an immutable Decision → the permit that lets an alias move.

A gate guards aliases by pattern; while one does, `assets` moves them with its permit only.
"""

from gimbal.axis.gates.model import Decision, Gate, Promote, Rule, RuleOutcome, SetGate

__all__ = ["Decision", "Gate", "Promote", "Rule", "RuleOutcome", "SetGate"]
