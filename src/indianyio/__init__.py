"""INDI drivers on structured concurrency, for asyncio and trio."""
