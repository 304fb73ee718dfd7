"""The server under load, under attack, and while it is stopped, killed or given another model."""
