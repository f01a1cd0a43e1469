"""What is known of the Python process: whose code a file, an exception or a signal handler is."""
