"""Requests, answers, and what an answer has to be."""
