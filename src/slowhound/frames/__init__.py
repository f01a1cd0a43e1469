"""Frames of a stack as plain data, and the lines of their source."""
