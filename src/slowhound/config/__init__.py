"""Settings: their table, their rules, where they are read from, and what is checked."""
