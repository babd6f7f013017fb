"""Optuna on Gimbal: a storage that keeps studies on the server, and a callback for those who keep a storage of their own.

`storage` is the storage, `callback` the callback, `records` turns what one side knows into what the other does, and
`sending` repeats what the network lost. Optuna is imported with the first of them, not before.
"""

import importlib.util

from gimbal.kernel.errors import MissingExtra

if importlib.util.find_spec("optuna") is None:
    raise MissingExtra("This needs Optuna.", todo="Install it: pip install 'gimbal-ops[optuna]'.")
