"""Settings: their table, where they are read from, and what is checked."""
