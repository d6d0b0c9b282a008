"""`python -m pbdr`: the `pbdr` command without its script."""

import sys

from .cli import main

sys.exit(main())
