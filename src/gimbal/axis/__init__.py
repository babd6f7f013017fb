"""What both rings share: versions, evidence, gated releases, traces, scores, monitors, cost and audit."""
