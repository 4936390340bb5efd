"""What every test of the whole daemon may ask for besides."""

from tests.system.presses import on_call

__all__ = ["on_call"]
