"""Drives real servers for the tests: processes, HTTP, what was recorded, waiting."""
