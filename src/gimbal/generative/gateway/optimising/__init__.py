"""Prompts that a suite improves: better instructions and examples are searched for, and the best of them is put to the proof.

`splitting` parts the suite, `searching` looks for candidates on one part (`reflecting` words what failed, `shots` chooses
examples, `front` says which candidate goes on), `desk` has them answered and paid for, and `deciding` compares the winner
with the start on the other part. What is found enters as a version and, at most, as the alias `candidate`: release is the
gates' business.
"""
