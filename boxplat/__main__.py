"""`python -m boxplat` is `box`."""

from boxplat.cli import main

main()
