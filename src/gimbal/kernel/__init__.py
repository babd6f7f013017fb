"""The kernel knows no product: errors, ids, references, time, money, pages, settings, events and the operation table.

Everything above imports it; it imports msgspec and the standard library only, so that `import gimbal` stays light.
"""
