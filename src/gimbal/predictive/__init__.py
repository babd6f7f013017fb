"""The first ring: models from data to production and back: flavors, features, serving, explanations."""
