"""Side by side with the peers, and against the budgets: `python -m bench [NAME…] [--json] [--quick]`."""
