"""How a model is measured: protocols, constant baseline, skill, validation."""
