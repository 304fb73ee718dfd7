"""MLflow: where runs are kept, what a run says, and the registry."""
