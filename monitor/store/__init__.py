"""Where alerts, the outbox and results are kept."""
