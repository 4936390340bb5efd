"""`python -m monitor` is `runwatch`."""

import sys

from monitor.cli import main

sys.exit(main())
