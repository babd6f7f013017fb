"""Questions in SQL: read-only statements over documented views of one project, and exports of what lists show.

A statement is read into a tree, checked, and written anew with every view in the place of its name; what the caller wrote
never reaches the engine. The engine then has limits and a filter per table of its own, which hold by themselves. It reads
what `traces`, `scores` and the other rooms store and hands over to nobody.
"""
