"""Backup files: which there are, whether they can be read and restored."""
