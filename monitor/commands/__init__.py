"""The commands, one file for each or for a few that belong together; imported only when called."""
