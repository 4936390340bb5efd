"""When a job is expected, and what was heard of it."""
