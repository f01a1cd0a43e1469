"""Flame graphs: where the time of a request went, sampled; data first, drawn when looked at."""
