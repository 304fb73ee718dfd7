"""MLflow runs: the store, provenance, uploads, comparisons, sweeps and reproduction."""
