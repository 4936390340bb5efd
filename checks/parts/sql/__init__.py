"""A query's text, its values, and what they have to be."""
