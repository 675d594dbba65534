"""Losses of the kinds, as modules: forward(raw, target) -> {"loss": mean over samples, and its named parts}."""
