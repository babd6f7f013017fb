"""`gimbal.autolog()`: what training libraries do is logged without a line of code per model.

`turning_on` is the verb, `hooks` waits for libraries to be imported, and one module per library knows how it trains.
"""
