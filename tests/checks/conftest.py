"""What every test of a kind may ask for besides."""

from tests.checks.moto import logs, moto, s3

__all__ = ["logs", "moto", "s3"]
