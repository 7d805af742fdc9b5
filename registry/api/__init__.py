"""The REST interface: routes, request signing, problems. Everything it knows, it asks the service."""

from registry.api.app import create_app

__all__ = ["create_app"]
