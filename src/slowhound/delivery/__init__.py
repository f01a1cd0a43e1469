"""How reports reach the sinks: queue, limits, spool, retries."""
