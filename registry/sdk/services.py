"""Services of aggregators, hosts, gateways and operators: offer, award, attest, pay."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.core.canonical import strict_json
from registry.core.cid import RAW, Cid
from registry.core.ids import to_address
from registry.errors import Malformed, NotAuthorized, NotFound, VerificationFailed
from registry.sdk.session import Session
from registry.wire import parse_body
from registry.wire_services import JobBody
from registry.wire_tasks import KINDS, OfferBody, ServiceBody, ServicesBody


@dataclass(frozen=True, slots=True)
class AwardPlan:
    """What a requester awards by: who attests, for how many epochs, until when; money in wei.

    `units` are rate units of a connectivity job. `reserve` is the least score (value - price) taken.
    `deadline` is a moment in chain time; without it, `deadline_s` counts from the award.
    """

    attestor: str
    epochs: int = 1
    deadline_s: int = 30 * 86_400
    units: int = 1
    reserve: int = 0
    minimum_bond: int = 0
    bonus: int = 0
    deadline: int | None = None

    def values(self, now: int) -> tuple[object, ...]:
        """The struct for the contract."""
        deadline = now + self.deadline_s if self.deadline is None else self.deadline
        return (
            to_address(self.attestor),
            self.epochs,
            deadline,
            self.units,
            self.reserve,
            self.minimum_bond,
            self.bonus,
        )


class Services:
    """Offers and awarded services of one gateway, as one member."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> ServicesBody:
        """Every offer and every service."""
        whole = ServicesBody(items=[], next=None, offers=[])
        cursor: dict[str, str] = {}
        while True:
            page = parse_body(
                ServicesBody, self._session.http.get("/v1/services", {"limit": 1_000, **cursor})
            )
            whole.items.extend(page.items)
            whole.offers.extend(page.offers)
            if page.next is None:
                return whole
            cursor = {"cursor": page.next}

    def show(self, service: int) -> ServiceBody:
        """One service."""
        return parse_body(ServiceBody, self._session.http.get(f"/v1/services/{service}"))

    def offer(self, job: bytes, kind: str, price: int, *, bond: int = 0) -> OfferBody:
        """Offer to do a job; answers the offer with its number."""
        args = [job, _kind(kind), price]
        self._session.transact("/v1/services/offers", "RewardPool", "offer", args, value=bond)
        mine = self._session.signer().address
        found = [o for o in self.all().offers if (o.provider, o.job) == (mine, "0x" + job.hex())]
        if not found:
            raise NotFound("the offer is not projected yet", hint="run `twinledger service list`")
        return found[-1]

    def withdraw(self, offer: int) -> str:
        """Take one's offer back, with its bond."""
        return self._session.transact("/v1/services/offers", "RewardPool", "withdrawOffer", [offer])

    def publish(self, document: JobBody) -> bytes:
        """Requester: publish the rule of an award before anybody offers; answers the job to offer for."""
        if to_address(document.requester) != self._session.signer().address:
            raise Malformed(f"the document is {document.requester}'s, its requester publishes it")
        cid = Cid(RAW, document.job)
        if not self._session.http.head(f"/v1/content/{cid}"):
            self._session.http.put(f"/v1/content/{cid}", document.encode(), "application/octet-stream")
        return document.job

    def document(self, job: bytes) -> JobBody:
        """The published rule of a job, which hashes to it; NotFound for a job without one."""
        with self._session.http.stream(f"/v1/content/{Cid(RAW, job)}") as response:
            raw = response.read()
        found = parse_body(JobBody, strict_json(raw))
        if found.job != job:
            raise VerificationFailed(f"the gateway's bytes are not the document of job 0x{job.hex()}")
        return found

    def award_by_document(self, job: bytes) -> ServiceBody:
        """Requester: award a job by its published rule and nothing else."""
        rule = self.document(job)
        if to_address(rule.requester) != self._session.signer().address:
            raise NotAuthorized(f"job 0x{job.hex()} is {rule.requester}'s to award")
        worth = {to_address(row.provider): int(row.value) for row in rule.values}
        offers = [o for o in self.all().offers if (o.job, o.kind) == ("0x" + job.hex(), rule.kind)]
        plan = AwardPlan(
            rule.attestor,
            epochs=rule.epochs,
            deadline=rule.deadline,
            reserve=int(rule.reserve),
            minimum_bond=int(rule.minimum_bond),
            bonus=int(rule.bonus),
        )
        values = {o.offer: worth.get(to_address(o.provider), 0) for o in offers}
        return self.award(job, rule.kind, values, plan)

    def award(self, job: bytes, kind: str, values: Mapping[int, int], plan: AwardPlan) -> ServiceBody:
        """Award a job by second score; `values` says what the job is worth by each offer, 0 where not given.

        The value sent is the most that a winner could be paid: what is over comes back.
        """
        offers = [o for o in self.all().offers if (o.job, o.kind) == ("0x" + job.hex(), kind)]
        worth = [values.get(o.offer, 0) for o in offers]
        escrow = (max(worth, default=0) + plan.bonus) * plan.epochs
        args = [job, _kind(kind), worth, plan.values(self._now())]
        self._session.transact("/v1/services/awards", "RewardPool", "award", args, value=escrow)
        return self._newest()

    def take(self, offer: int, plan: AwardPlan) -> ServiceBody:
        """Take a connectivity offer at its posted price."""
        found = next((o for o in self.all().offers if o.offer == offer), None)
        if found is None:
            raise NotFound(f"there is no offer {offer}")
        price = int(found.price)
        escrow = (price * plan.units + plan.bonus) * plan.epochs
        args = [offer, price, plan.values(self._now())]
        self._session.transact("/v1/services/awards", "RewardPool", "take", args, value=escrow)
        return self._newest()

    def attest(self, service: int, epoch: int, *, passed: bool) -> str:
        """Attestor: say whether the service was given in an epoch; final."""
        return self._act(service, "attestations", "attest", [service, epoch, passed])

    def pay(self, service: int, epoch: int) -> str:
        """Pay the provider for a passed epoch."""
        return self._act(service, "payments", "pay", [service, epoch])

    def end(self, service: int) -> str:
        """Return what is left, once every epoch is decided or the deadline has passed."""
        return self._act(service, "payments", "end", [service])

    def _newest(self) -> ServiceBody:
        mine = self._session.signer().address
        found = [s for s in self.all().items if s.requester == mine]
        if not found:
            raise NotFound("the service is not projected yet", hint="run `twinledger service list`")
        return found[-1]

    def _now(self) -> int:
        return max(int(time.time()), self._session.account().chain_time)

    def _act(self, service: int, path: str, function: str, args: list[Any]) -> str:
        return self._session.transact(f"/v1/services/{service}/{path}", "RewardPool", function, args)


def _kind(kind: str) -> int:
    if kind not in KINDS:
        raise Malformed(f"{kind!r} is no kind of service", hint=f"there are {', '.join(KINDS)}")
    return KINDS.index(kind)
