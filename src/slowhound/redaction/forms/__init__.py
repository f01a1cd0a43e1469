"""Secrets that are known by their form: the formats, and their search."""
