"""Routes that FastAPI describes and Starlette runs.

FastAPI finds a handler's arguments anew for each request, which takes longer than to answer most of them. A
handler that takes nothing but the request is called with it. What such a handler reads from the query its
route says with `asks`: FastAPI cannot see it.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import request_response

from registry.api.pages import MAX_ITEMS, USUAL

_NUMBER = {"type": "integer", "minimum": 0}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "default": USUAL},
    **dict.fromkeys(("since", "until", "from", "to", "round", "depth", "wait_s"), _NUMBER),
    "at_least": {"type": "integer", "minimum": 0, "default": 1},
    "direction": {"type": "string", "enum": ["up", "down", "both"], "default": "both"},
    "recompute": {"type": "string", "enum": ["1"]},
    **dict.fromkeys(("tag", "metric"), _TEXTS),
}


class DirectRoute(APIRoute):
    """The way from the request to the handler is as short as the handler's arguments allow."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if list(signature(endpoint).parameters) == ["request"]:
            self.app = request_response(endpoint)


def asks(*names: str) -> dict[str, Any]:
    """Query parameters for the API's description; one without a schema of its own is a text."""
    described = [
        {"name": name, "in": "query", "required": False, "schema": _SCHEMAS.get(name, {"type": "string"})}
        for name in names
    ]
    return {"parameters": described}
