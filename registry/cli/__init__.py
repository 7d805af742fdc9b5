"""The command `twinledger`. Commands import what they need when they run: `--help` must be instant."""

from registry.cli.app import main

__all__ = ["main"]
