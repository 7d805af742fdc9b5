"""tasks: added with their issues."""

import typer


def register(app: typer.Typer) -> None:
    """Add these commands."""
