"""Containers, as their engine tells of them."""
