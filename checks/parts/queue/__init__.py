"""Queues in Redis: BullMQ, lists, streams."""
