"""Federated-learning tasks: relayed transactions, contributions and measurements, payouts with proofs."""

from fastapi import APIRouter, Request, Response

from registry.api.exchange import SELF_SIGNED, Number, answer, caller_of, in_thread, post, service_of
from registry.api.pages import PAGED, integer, page, page_size
from registry.api.routes import DirectRoute, asks
from registry.core.ids import to_address
from registry.errors import Malformed
from registry.service import Asker
from registry.wire import RawTransaction, TransactionAnswer, signature_of
from registry.wire_payouts import PayoutFile
from registry.wire_rewards import (
    EntryBody,
    SignedContribution,
    SignedMeasurementBody,
    TakenBody,
    contribution_of,
    measurement_of,
)
from registry.wire_tasks import TaskBody
from registry.wire_updates import SignedHandover, handover_of

router = APIRouter(tags=["tasks"], route_class=DirectRoute)
# What a member signs about a task, each under the name of its act.
ACTS = ("bids", "choices", "reveals", "rounds", "settle", "claims", "challenges", "refunds")


@router.post("/v1/tasks", status_code=202, response_model=TransactionAnswer)
async def open_task(request: Request) -> Response:
    """Relay a signed `openTask`; its parameter document must be held here."""
    return await relay_reward(request)


@router.get("/v1/tasks", openapi_extra=asks(*PAGED))
async def list_tasks(request: Request) -> Response:
    """Tasks by number."""
    await caller_of(request, "tasks")
    limit = page_size(integer(request, "limit", 100))
    after = integer(request, "cursor", 0)
    items = await in_thread(service_of(request).rounds.listed, after, limit)
    return answer({"items": items, "next": str(items[-1].task) if len(items) == limit else None})


@router.get("/v1/tasks/{task}", response_model=TaskBody)
async def show_task(request: Request, task: Number) -> Response:
    """One task: terms, bids, choices, rounds."""
    await caller_of(request, "tasks")
    return answer(await in_thread(service_of(request).rounds.show, task))


@router.get("/v1/tasks/{task}/contributions", openapi_extra=asks("round", *PAGED))
async def list_contributions(request: Request, task: Number) -> Response:
    """Everything signed about a round."""
    await caller_of(request, "tasks")
    entries = await in_thread(service_of(request).tasks.entries, task, integer(request, "round", 0))
    taken, following = page(request, entries, lambda entry: entry.contribution.device)
    return answer({"items": taken, "next": following})


@router.post("/v1/tasks/{task}/contributions", status_code=202, response_model=TakenBody)
async def contribute(request: Request, task: Number) -> Response:
    """Take a contribution signed by its device, or the aggregator's countersignature."""
    tasks = service_of(request).tasks

    def act(body: SignedContribution, caller: Asker) -> TakenBody:
        _same_task(task, body.contribution.task)
        given, signature = contribution_of(body.contribution), signature_of(body.signature)
        return tasks.contribute(given, signature, caller.network)

    return await post(request, SELF_SIGNED, SignedContribution, act, status=202)


@router.post("/v1/tasks/{task}/measurements", status_code=202, response_model=EntryBody)
async def measure(request: Request, task: Number) -> Response:
    """Take a validator's signed measurement."""
    tasks = service_of(request).tasks

    def act(body: SignedMeasurementBody, _caller: object) -> EntryBody:
        _same_task(task, body.measurement.task)
        return tasks.measure(measurement_of(body.measurement), signature_of(body.signature))

    return await post(request, SELF_SIGNED, SignedMeasurementBody, act, status=202)


@router.post("/v1/tasks/{task}/updates", status_code=202, response_model=SignedHandover)
async def hand_over(request: Request, task: Number) -> Response:
    """Take a device's word on where its encrypted update lies."""
    tasks = service_of(request).tasks

    def act(body: SignedHandover, _caller: object) -> SignedHandover:
        _same_task(task, body.handover.task)
        return tasks.hand_over(handover_of(body.handover), signature_of(body.signature))

    return await post(request, SELF_SIGNED, SignedHandover, act, status=202)


@router.get("/v1/tasks/{task}/updates", openapi_extra=asks("round"))
async def list_updates(request: Request, task: Number) -> Response:
    """The encrypted updates of a round."""
    await caller_of(request, "tasks")
    found = await in_thread(service_of(request).tasks.handed, task, integer(request, "round", 0))
    return answer({"items": found, "next": None})


@router.get("/v1/tasks/{task}/settlement", response_model=PayoutFile, openapi_extra=asks("round"))
async def propose_settlement(request: Request, task: Number) -> Response:
    """The payout file that follows from what is signed so far: what the aggregator settles."""
    await caller_of(request, "tasks")
    found = await in_thread(service_of(request).rounds.proposed, task, integer(request, "round", 0))
    return answer(found)


@router.get("/v1/tasks/{task}/payouts", openapi_extra=asks("round", "recompute", *PAGED))
async def list_payouts(request: Request, task: Number) -> Response:
    """The settled rounds with their leaves; `recompute=1` settles each again and fails where it differs."""
    await caller_of(request, "tasks")
    rounds = service_of(request).rounds
    chosen = integer(request, "round", 0) if "round" in request.query_params else None
    found = await in_thread(rounds.payouts, task, chosen)
    if request.query_params.get("recompute") == "1":
        for payouts in found:
            await in_thread(rounds.recompute, task, payouts.round)
    taken, following = page(request, found, lambda payouts: str(payouts.round))
    return answer({"items": taken, "next": following})


@router.get("/v1/tasks/{task}/payouts/{address}/proof", openapi_extra=asks("round", *PAGED))
async def prove_payout(request: Request, task: Number, address: str) -> Response:
    """What the task owes an address, why, and the proof."""
    await caller_of(request, "tasks")
    chosen = integer(request, "round", 0) if "round" in request.query_params else None
    owed = await in_thread(service_of(request).rounds.owed, task, to_address(address), chosen)
    taken, following = page(request, owed, lambda one: str(one.round))
    return answer({"items": taken, "next": following})


async def relay_reward(request: Request) -> Response:
    """Relay one signed transaction to RewardPool; 202 with its hash."""
    tasks = service_of(request).tasks

    def act(body: RawTransaction, _caller: object) -> TransactionAnswer:
        return TransactionAnswer(tx_hash="0x" + tasks.send(bytes.fromhex(body.raw_transaction[2:])).hex())

    return await post(request, SELF_SIGNED, RawTransaction, act, status=202)


async def act_on_task(request: Request, task: Number) -> Response:
    """Relay a member's signed act on a task."""
    return await relay_reward(request)


for name in ACTS:
    router.add_api_route(
        f"/v1/tasks/{{task}}/{name}",
        act_on_task,
        methods=["POST"],
        status_code=202,
        response_model=TransactionAnswer,
        name=f"task_{name}",
    )


def _same_task(task: int, signed: int) -> None:
    if task != signed:
        raise Malformed(f"what was signed is for task {signed}, the address names task {task}")
