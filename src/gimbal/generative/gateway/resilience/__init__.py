"""What is tried when a provider does not answer: deadlines, retries, fallbacks, hedges, breakers, and the health behind them.

`routes` (or a plain `provider/model`) hands over a Plan; `attempt` carries it out by way of the function that it is
given for one attempt, and hands on the answer that has begun. `health` is what this process knows of each model.
"""
