"""Search over runs by what was logged: a filter, an order, and pages that new runs do not shift."""
