"""Measures what slowhound costs: ``python -m bench`` prints a table for each module.

Each number compares two things that are measured in turn, many times, in one run: so other work of
the machine slows both down, and the median of the differences stays the same.
"""
