"""Flame graphs: profiles are sampled and kept as data, and drawn when someone opens them."""
