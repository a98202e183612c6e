"""``python -m amxfp4`` is the ``amxfp4`` command."""

from amxfp4.cli import main

main()
