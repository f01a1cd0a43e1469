"""The store: events on disk and in ClickHouse, and the queries over them."""
