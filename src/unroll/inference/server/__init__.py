"""An HTTP server for a trained model: a supervisor process, and workers that share its listening socket."""
