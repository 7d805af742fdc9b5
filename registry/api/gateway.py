"""The gateway itself: what it is deployed on, what it charges, whether it is well."""

import asyncio

from fastapi import APIRouter, Request, Response

from registry.api.exchange import answer, caller_of, in_thread, post, service_of
from registry.api.routes import DirectRoute
from registry.api.shapes import quote_answer
from registry.chain.deployment import deployment_json
from registry.core.ids import FeeClass
from registry.wire import QuoteBody, QuoteRequest

router = APIRouter(tags=["gateway"], route_class=DirectRoute)


@router.get("/v1/deployment")
async def show_deployment(request: Request) -> Response:
    """Chain id, genesis hash, contract addresses and code hashes."""
    return answer(deployment_json(service_of(request).contracts.deployment))


@router.get("/v1/fees/menu")
async def show_menu(request: Request) -> Response:
    """The prices in force, wei per byte, by class."""
    await caller_of(request, "fees")
    menu = await in_thread(service_of(request).contracts.menu)
    return answer(
        {
            name: {
                "rho": str(menu.rho[fee_class]),
                "tax": str(menu.tax[fee_class]),
                "price": str(menu.price(fee_class)),
            }
            for name, fee_class in (("standard", FeeClass.STANDARD), ("priority", FeeClass.PRIORITY))
        }
    )


@router.post("/v1/fees/quote", response_model=QuoteBody)
async def quote(request: Request) -> Response:
    """What sealing so many bytes would cost now, and the mean wait in that class."""
    service = service_of(request)

    def act(body: QuoteRequest, _caller: object) -> QuoteBody:
        fee_class = FeeClass(body.fee_class)
        return quote_answer(
            service.accounts.quote(body.size, fee_class), service.fees.expected_wait_s(fee_class)
        )

    return await post(request, "fees", QuoteRequest, act)


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return answer({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 when every part is ready, else 503 with the causes."""
    # In a thread of its own: a monitor takes no turn behind those it is asked about.
    causes = await asyncio.to_thread(service_of(request).health.causes)
    if not causes:
        return answer({"status": "ready", "causes": []})
    return answer({"status": "unready", "causes": causes}, 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Figures for a Prometheus scrape."""
    await caller_of(request, "metrics")
    text = await in_thread(service_of(request).metrics.text)
    return Response(text, media_type="text/plain; version=0.0.4")
