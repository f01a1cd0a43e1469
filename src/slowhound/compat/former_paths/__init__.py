"""Modules by their former paths: this folder is in ``slowhound.__path__``, see there."""
