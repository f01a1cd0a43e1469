"""An event: the table of its fields, and how it is written as a line."""
