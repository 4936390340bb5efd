"""One check of every kind with something real to watch, and the way to break it: what `runwatch check` is tried on."""

from tests.system import kinds_network, kinds_servers
from tests.system.estate import CASES, Case, Estate, estate_in

__all__ = ["CASES", "Case", "Estate", "estate_in", "kinds_network", "kinds_servers"]
