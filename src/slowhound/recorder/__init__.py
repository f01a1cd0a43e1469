"""The recorder of a process: begins and finishes records, and emits their events."""
