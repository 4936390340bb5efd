"""How Redis is asked: one server, Sentinels, clusters."""
