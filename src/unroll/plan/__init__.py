"""From configuration to results: one run, or every run that params.yaml lists, side by side."""
