"""Samples stacks, and attributes them to the requests they belong to."""
