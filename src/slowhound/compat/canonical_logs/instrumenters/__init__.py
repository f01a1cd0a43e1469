"""The protocol and the registry of an application's own instrumenters."""
