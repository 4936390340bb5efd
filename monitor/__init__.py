"""The daemon: when to look, where things are kept, and how they are shown."""

__version__ = "0.1.0"
