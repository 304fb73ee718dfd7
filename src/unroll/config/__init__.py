"""How a composed Hydra configuration reaches the package: checked, and with errors a person can act on."""
