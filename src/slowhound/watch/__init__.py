"""The watchdog: one thread per worker that looks at what is in flight."""
