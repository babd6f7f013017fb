"""Evaluating functions of the program at hand: they run here, and what they answer is judged there."""
