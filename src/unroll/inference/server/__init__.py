"""An HTTP server for a trained model: a supervisor process, and workers that answer its connections."""
