"""What every test may ask for."""

from monitor.demo.ports import free_port
from tests.servers import new_postgres, new_valkey, postgres, postgres_template, temporal, valkey

__all__ = ["new_postgres", "new_valkey", "postgres", "postgres_template", "temporal", "valkey"]

free_port()  # so that this process's share is claimed before a test counts files
