"""Questions to name servers, and their answers."""
