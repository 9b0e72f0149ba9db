"""The clean-up: what is found, what is noted of it, and a run over all of it."""
