"""A machine out of its /proc."""
