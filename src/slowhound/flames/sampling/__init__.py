"""Stacks sampled on time, and attributed to the requests they belong to."""
