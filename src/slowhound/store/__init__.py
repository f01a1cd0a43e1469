"""The store: events on disk, and what can be asked of them."""
