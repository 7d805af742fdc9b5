"""The OpenAPI of the gateway: what FastAPI finds in the routes, and what the routes read and answer by hand.

Bodies are read as bytes, since a signature covers them, and every refusal is an RFC 9457 problem: FastAPI can
know neither. A test sends what this description allows and compares each answer with it.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from registry.api.exchange import PROBLEM
from registry.wire import RawTransaction, SignedSubmission
from registry.wire_audit import FilterBody
from registry.wire_rewards import SignedContribution, SignedMeasurementBody

_REFS = "#/components/schemas/{model}"
_BODIES: dict[str, type[BaseModel]] = {
    "/v1/submissions": SignedSubmission,
    "/v1/audit/evidence": FilterBody,
    "/v1/tasks/{task}/contributions": SignedContribution,
    "/v1/tasks/{task}/measurements": SignedMeasurementBody,
}
_BYTES = "application/octet-stream"
# What is answered as something else than JSON.
_KINDS = {
    "/v1/content/{cid}": (_BYTES, "application/vnd.ipld.car", "application/vnd.ipld.raw"),
    "/ipfs/{cid}": ("application/vnd.ipld.car", "application/vnd.ipld.raw", _BYTES),
    "/metrics": ("text/plain",),
    "/v1/audit/evidence": ("application/zip",),
    "/v1/audit/events/{event}/proof": ("text/plain",),
    "/log/{name}/checkpoint": ("text/plain",),
    "/log/{name}/tile/{path}": (_BYTES,),
    "/log/witness/add-checkpoint": ("text/plain",),
    "/log/witness/{origin_hash}/checkpoint": ("text/plain",),
}
_FILES = ("/files/{path}", "/manifest")
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status", "detail", "code", "hint", "retryable"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "code", "hint")},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "retryable": {"type": "boolean"},
    },
}


def describing(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What `app.openapi` should be: the description, made once."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_described(get_openapi(title=app.title, version=app.version, routes=app.routes)))
        return made

    return openapi


def _described(found: dict[str, Any]) -> dict[str, Any]:
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            answers.pop("422", None)
            answers["default"] = _refused(path)
            success = answers.get("200") or answers["202"]
            if kinds := _kinds(path, method):
                success["content"] = {kind: {} for kind in kinds}
            if method == "post" and (body := _BODIES.get(path) or _relayed(success)):
                operation["requestBody"] = _body(body, schemas)
    return found


def _kinds(path: str, method: str) -> tuple[str, ...]:
    if method == "put":
        return ()
    return (_BYTES, "application/json") if path.endswith(_FILES) else _KINDS.get(path, ())


def _refused(path: str) -> dict[str, Any]:
    # The witness protocol is C2SP's: a refusal is a line of text.
    kind = "text/plain" if path == "/log/witness/add-checkpoint" else PROBLEM
    content = {kind: {"schema": {"$ref": "#/components/schemas/Problem"}} if kind == PROBLEM else {}}
    return {"description": "Refused: what was wrong, and what to do next", "content": content}


def _relayed(success: dict[str, Any]) -> type[BaseModel] | None:
    schema = success.get("content", {}).get("application/json", {}).get("schema", {})
    return RawTransaction if schema.get("$ref", "").endswith("/TransactionAnswer") else None


def _body(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=_REFS)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": _REFS.format(model=model.__name__)}}},
    }
