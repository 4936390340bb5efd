"""A cluster's objects, and how to be let in."""
