"""`python -m registry.cli` is the command `twinledger`."""

from registry.cli.app import main

main()
