"""Statements without their literals."""
