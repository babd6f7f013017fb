"""MLflow's REST interface: what its own clients call, answered from our runs, models, prompts and traces."""
