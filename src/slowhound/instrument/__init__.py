"""What is seen of a request: one instrumenter per source, and the events made of it."""
