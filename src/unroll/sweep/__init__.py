"""Many runs to one decision: studies of Optuna as a Hydra sweeper, what a sweep leaves behind, and its promotion."""
