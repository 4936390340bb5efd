"""What every test of a kind may ask for besides."""

from tests.checks.moto import logs, moto, s3
from tests.checks.redis_servers import new_redis

__all__ = ["logs", "moto", "new_redis", "s3"]
