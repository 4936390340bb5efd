"""Requests that follow one another."""
