"""The watchdog: one thread per worker that samples what is in flight."""
