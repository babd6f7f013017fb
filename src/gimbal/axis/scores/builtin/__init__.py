"""Built-in scorers, one file each; importing this package registers them."""

from gimbal.axis.scores.builtin import exact_match, source_hit, token_f1

__all__ = ["exact_match", "source_hit", "token_f1"]
