"""Services of the other payees: offer, award, attest, pay."""

from fastapi import APIRouter, Request, Response

from registry.api.exchange import Number, answer, caller_of, in_thread, service_of
from registry.api.pages import PAGED, page
from registry.api.routes import DirectRoute, asks
from registry.api.tasks import relay_reward
from registry.wire import TransactionAnswer
from registry.wire_tasks import ServiceBody, ServicesBody

router = APIRouter(tags=["services"], route_class=DirectRoute)


@router.get("/v1/services", response_model=ServicesBody, openapi_extra=asks(*PAGED))
async def list_services(request: Request) -> Response:
    """Every awarded service, and on the pages after them every offer."""
    await caller_of(request, "services")
    services = service_of(request).services
    taken, following = page(request, await in_thread(services.names), str)
    return answer(await in_thread(services.named, taken, following))


@router.get("/v1/services/{service}", response_model=ServiceBody)
async def show_service(request: Request, service: Number) -> Response:
    """One awarded service."""
    await caller_of(request, "services")
    return answer(await in_thread(service_of(request).services.service, service))


@router.post("/v1/services/offers", status_code=202, response_model=TransactionAnswer)
async def offer(request: Request) -> Response:
    """Relay a signed `offer` or `withdrawOffer`."""
    return await relay_reward(request)


@router.post("/v1/services/awards", status_code=202, response_model=TransactionAnswer)
async def award(request: Request) -> Response:
    """Relay a signed `award` or `take`."""
    return await relay_reward(request)


@router.post("/v1/services/{service}/attestations", status_code=202, response_model=TransactionAnswer)
async def attest(request: Request, service: Number) -> Response:
    """Relay a signed `attest`."""
    return await relay_reward(request)


@router.post("/v1/services/{service}/payments", status_code=202, response_model=TransactionAnswer)
async def pay(request: Request, service: Number) -> Response:
    """Relay a signed `pay` or `end`."""
    return await relay_reward(request)
