"""A Django site that does what tests need: queries, errors, streams, waits at gates."""
