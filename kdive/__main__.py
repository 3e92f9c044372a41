"""`python -m kdive` is the `kdive` command."""

import sys

from kdive.cli import main

sys.exit(main())
