"""The stack of a record now: of its thread, its greenlet or its asyncio task."""
