"""``?flames``: a flame graph of one request, because its client asked for it."""
