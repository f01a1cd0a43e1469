"""Errors of databases without the values that they quote."""
