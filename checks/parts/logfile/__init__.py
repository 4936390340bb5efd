"""Logs: sources, records, patterns, positions."""
