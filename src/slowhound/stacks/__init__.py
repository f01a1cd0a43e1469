"""Stacks of requests: of a thread, a greenlet or an asyncio task."""
