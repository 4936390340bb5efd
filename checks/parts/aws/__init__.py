"""Signed requests to AWS, and what they give."""
