"""One request in flight: its record, what was observed of it, and the report of a slow one."""
