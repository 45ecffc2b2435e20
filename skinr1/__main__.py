"""``python -m skinr1``: the same as the ``skinr1`` command."""

from skinr1.cli import main

main()
