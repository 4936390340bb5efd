"""What every test may ask for."""

from tests.servers import new_postgres, new_valkey, postgres, postgres_template, temporal, valkey

__all__ = ["new_postgres", "new_valkey", "postgres", "postgres_template", "temporal", "valkey"]
