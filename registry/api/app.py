"""Puts the routes together, and turns every error into its problem."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from registry.api import accounts, audit, content, fees, gateway, services, submissions, tasks, versions
from registry.api.described import describing
from registry.api.doors import Doors, Doorway
from registry.api.exchange import asker_of, in_thread, problem_response
from registry.api.guard import Guard
from registry.api.halted import Halted
from registry.api.pace import Buckets, Pace
from registry.api.threads import Turnstile, open_threads
from registry.api.trace import Trace
from registry.config import Settings
from registry.errors import Malformed, NotFound, RegistryError, StoreUnavailable
from registry.service import Service

_log = logging.getLogger("registry.api")
# In the order of how often they are asked: a request is compared with one route after the other.
ROUTERS = (
    versions.router,
    content.router,
    submissions.router,
    accounts.router,
    fees.router,
    gateway.router,
    audit.router,
    tasks.router,
    services.router,
)


def create_app(service: Service, settings: Settings) -> FastAPI:
    """The application over one service, with the access and limits of its settings."""
    app = FastAPI(title="TwinLedger", version="1", docs_url="/docs", redoc_url=None)
    app.state.service = service
    app.state.settings = settings
    app.state.buckets = Buckets(settings.limits)
    app.add_middleware(Halted, service=service)
    app.add_middleware(Turnstile, threads=open_threads())
    app.add_middleware(Doorway, doors=Doors())
    app.add_middleware(Pace, buckets=app.state.buckets)
    app.add_middleware(Guard, tls=settings.api.tls_certificate_file is not None)
    app.add_middleware(Trace)
    for router in ROUTERS:
        # One list: an included router would be searched twice for each request.
        app.router.routes += router.routes
    app.add_exception_handler(RegistryError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
    app.openapi = describing(app)  # type: ignore[method-assign]
    return app


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, RegistryError):
        raise TypeError(f"{error!r} is not of the tree")
    service: Service = request.app.state.service
    try:
        await in_thread(service.refused, asker_of(request), request.method, request.url.path, error)
    except StoreUnavailable as e:
        # Nothing is refused that is not written down: what ails the log is the answer.
        return problem_response(e)
    return problem_response(error)


def _invalid(_request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(str(part) for part in first["loc"]) or "the request"
    return problem_response(Malformed(f"{where}: {str(first['msg']).lower()}"))


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    where = f"{request.method} {request.url.path}"
    if status == 404:
        return problem_response(NotFound(f"there is no route {where}", hint="see /openapi.json"))
    if status == 405:
        allowed = error.headers if isinstance(error, HTTPException) else None
        refused = Malformed(f"{where} is not offered by this route", hint="see /openapi.json")
        return problem_response(refused, status=405, headers=allowed)
    return problem_response(Malformed(f"{where} was refused with {status}"))


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(
        RegistryError(f"{request.method} {request.url.path} failed: see the gateway's log")
    )
