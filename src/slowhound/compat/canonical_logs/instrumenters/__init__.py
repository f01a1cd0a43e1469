"""Instrumenters of the application's own."""
