"""Secrets that show by their form what they are: the formats, and their search."""
