"""`python -m pbdr.cli`: the `pbdr` command without its script."""

import sys

from . import main

sys.exit(main())
