"""How PostgreSQL is asked, and what its answers mean."""
