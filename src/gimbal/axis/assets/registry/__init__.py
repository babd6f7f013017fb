"""The registry: names, tags, descriptions and stages of assets and versions, as registries such as MLflow's have them."""
