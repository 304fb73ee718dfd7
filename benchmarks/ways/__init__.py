"""Every way of predicting gives the same answers: Python, files, servers, MLflow and clusters."""
