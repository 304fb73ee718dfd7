"""From configuration to results: one run, or all runs that params.yaml lists, in parallel."""
