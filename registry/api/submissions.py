"""Submissions: taken one by one or by the array, listed, shown, cancelled."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from registry.api.exchange import (
    SELF_SIGNED,
    answer,
    caller_of,
    in_thread,
    json_body,
    once,
    problem_of,
    read_json,
    service_of,
)
from registry.api.pages import integer, page_size
from registry.api.routes import DirectRoute, asks
from registry.api.threads import in_waiting
from registry.api.versions import relay
from registry.core.ids import Address, VersionId, parse_hex32, read_count
from registry.core.signing import recover
from registry.core.version import submission_digest
from registry.errors import Malformed, RegistryError, TooLarge
from registry.service import Service
from registry.service.acts import expect_version
from registry.wire import (
    RepeatedAnswer,
    SignedSubmission,
    SubmissionAnswer,
    SubmissionStatus,
    TransactionAnswer,
    parse_body,
    signature_of,
    submission_of,
)

router = APIRouter(tags=["submissions"], route_class=DirectRoute)
MAX_ITEMS = 200


@router.post("/v1/submissions", status_code=202, response_model=RepeatedAnswer | SubmissionAnswer | list[Any])
async def submit(request: Request) -> Response:
    """Take one signed submission, or an array of at most 200 of which each gets its own result."""
    body = await json_body(request)
    value = read_json(body)
    service = service_of(request)
    caller = await caller_of(request, SELF_SIGNED, body)
    if not isinstance(value, list):
        signed = parse_body(SignedSubmission, value)
        return await once(
            request,
            caller,
            body,
            lambda: (202, service.submissions.submit(signed, caller.network)),
            lambda: _signer(service, signed),
        )
    if len(value) > MAX_ITEMS:
        raise TooLarge(f"an array has at most {MAX_ITEMS} submissions, got {len(value)}")

    def act() -> tuple[int, object]:
        read = [_read(item) for item in value]
        whole = [item for item in read if isinstance(item, SignedSubmission)]
        results = iter(service.submissions.submit_many(whole, caller.network))
        answers = [item if isinstance(item, RegistryError) else next(results) for item in read]
        return 202, [_result(result) for result in answers]

    return await once(request, caller, body, act)


@router.get("/v1/submissions", openapi_extra=asks("wait_s"))
async def list_submissions(
    request: Request,
    state: str | None = None,
    cursor: str = "0",
    limit: int = 100,
    version_id: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Submissions in order of arrival; miners and gateways see what was signed.

    With `?version_id=…&version_id=…`, those of them that came here, with their receipts; `wait_s` waits for
    the last seal. A receipt stands there without its proof: `proofs` has it once per seal transaction.
    """
    caller = await caller_of(request, "submissions")
    pages = service_of(request).pages
    named = version_id or []
    if named:
        wanted = [VersionId(parse_hex32(text.lower())) for text in named[: MAX_ITEMS + 1]]
        if len(wanted) > MAX_ITEMS:
            raise TooLarge(f"name at most {MAX_ITEMS} versions at once, got {len(named)}")
        wait_s = min(integer(request, "wait_s", 0), 30)
        run = in_waiting if wait_s > 0 else in_thread
        found = await run(lambda: pages.receipts(wanted, wait_s).json())
        return Response(found, media_type="application/json")
    after, most = read_count(cursor, "cursor"), page_size(limit)
    page = await in_thread(lambda: pages.listed(state, after=after, limit=most, asker=caller.address).json())
    return Response(page, media_type="application/json")


@router.get("/v1/submissions/{version_id}", response_model=SubmissionStatus, openapi_extra=asks("wait_s"))
async def show_submission(request: Request, version_id: str) -> Response:
    """Where a submission stands, with its receipt once it is sealed; `wait_s` waits for that."""
    await caller_of(request, "submissions")
    wanted = VersionId(parse_hex32(version_id.lower()))
    wait_s = min(integer(request, "wait_s", 0), 30)
    run = in_waiting if wait_s > 0 else in_thread
    return answer(await run(service_of(request).submissions.status, wanted, wait_s))


@router.post("/v1/submissions/{version_id}/cancel", status_code=202, response_model=TransactionAnswer)
async def cancel_submission(request: Request, version_id: str) -> Response:
    """Relay a signed `cancel`."""
    check = expect_version("cancel", VersionId(parse_hex32(version_id.lower())))
    return await relay(request, "TwinRegistry", check=check)


def _read(item: object) -> SignedSubmission | RegistryError:
    try:
        return parse_body(SignedSubmission, item)
    except Malformed as e:
        return e


def _signer(service: Service, signed: SignedSubmission) -> Address:
    digest = submission_digest(service.contracts.domain, submission_of(signed.submission))
    return recover(digest, signature_of(signed.signature))


def _result(result: SubmissionAnswer | RegistryError) -> object:
    if isinstance(result, RegistryError):
        return problem_of(result)
    return result.model_dump(by_alias=True)
