"""`python -m pdesurr` is the command line."""

from pdesurr.cli import main

raise SystemExit(main())
