"""Routes that FastAPI describes and Starlette runs.

FastAPI finds a handler's arguments anew for each request, which takes longer than to answer most of them. A
handler that takes nothing but the request is called with it.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import request_response


class DirectRoute(APIRoute):
    """The way from the request to the handler is as short as the handler's arguments allow."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if list(signature(endpoint).parameters) == ["request"]:
            self.app = request_response(endpoint)
