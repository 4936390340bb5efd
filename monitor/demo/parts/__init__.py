"""Parts that simulated installations are made of: real servers, and stand-ins for what only a vendor has."""
