"""The model registry: registration, the gate, aliases and model cards."""
