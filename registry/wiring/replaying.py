"""`mechanism run fwt_ledger --on-chain`: a history of the fee market played through the real contracts.

A throw-away embedded chain whose clock the history moves: a slot lasts long enough for every transaction
of it. What is printed has the shape of `incentives.evaluate`, so the two can be compared to the wei.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from incentives.fields import Fields, elements, integer, text
from registry.chain.base import ChainLink
from registry.chain.deploy import FeeSettings, deploy
from registry.chain.deploy import Settings as DeploySettings
from registry.chain.encoding import encode_call
from registry.chain.events import decode_log
from registry.chain.gateway import Contracts, Menu
from registry.chain.seal import encode_seal
from registry.chain.sender import Sender
from registry.core.ids import FeeClass, Role, keccak, name_hash
from registry.core.signing import KeySigner
from registry.core.version import NO_SALT, Submission, Version, submission_digest
from registry.errors import Malformed

_KEY = "fwt_ledger"
_SLOT_S = 10_000
_COIN = 1 << 200
_BATCH = 50
_PAGE = 100
_MOST_BYTES = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class _Item:
    """One transaction of a history."""

    user: str
    size: int
    fee_class: FeeClass
    path: str


def replay_on_chain(key: str, inputs: Mapping[str, object]) -> list[dict[str, object]]:
    """The outputs of `evaluate(key, inputs)` as the contracts have them; Malformed for any other key."""
    if key != _KEY:
        raise Malformed(f"{key} is not a mechanism of the contracts", hint=f"--on-chain takes {_KEY}")
    fields = Fields(inputs)
    with (
        tempfile.TemporaryDirectory(prefix="twinledger-replay-") as folder,
        _chain(Path(folder)) as (link, clock),
    ):
        return _Replay(fields, link, clock).play()


class _Clock:
    """The time, as the history has it."""

    def __init__(self) -> None:
        self.at = 1_600_000_000.0

    def __call__(self) -> float:
        return self.at


@contextmanager
def _chain(folder: Path) -> Iterator[tuple[ChainLink, _Clock]]:
    from registry.chain.blocks import Genesis
    from registry.chain.embedded import EmbeddedChain

    clock = _Clock()
    link = EmbeddedChain(folder, Genesis(1, ((_COUNCIL.address, _COIN),)), clock=clock)
    try:
        yield link, clock
    finally:
        link.close()


class _Replay:
    """One history on one chain."""

    def __init__(self, fields: Fields, link: ChainLink, clock: _Clock) -> None:
        self._clock = clock
        self._epochs = fields.items("epochs", _epoch)
        self._users = {name: _signer(name) for name in fields.items("users", text)}
        prices = fields.named("miners", _amount)
        self._miners = {name: _signer(name) for name in prices}
        if not self._epochs or not self._users or not self._miners:
            raise Malformed("a history on chain needs an epoch, a user and a miner", field="epochs")
        if len({*self._users, *self._miners}) != len(self._users) + len(self._miners):
            raise Malformed("users and miners must be distinct accounts", field="users")
        self._slots = len(self._epochs[0])
        if any(len(epoch) != self._slots for epoch in self._epochs):
            raise Malformed("every epoch on chain has the same number of slots", field="epochs")
        settings, balance = _settings(fields, self._slots), fields.integer("initial_user_balance", low=0)
        fields.end()
        council = Sender(link, _COUNCIL)
        deployment = deploy(link, _COUNCIL, settings, [_COUNCIL.address], 1)
        self._contracts = Contracts(link, deployment)
        self._senders = {n: Sender(link, s) for n, s in (self._users | self._miners).items()}
        self._start = int(self._contracts.read("TwinRegistry", "start"))
        self._populate(council, balance, prices)

    def play(self) -> list[dict[str, object]]:
        """The state right after each close."""
        return [self._epoch(number, slots) for number, slots in enumerate(self._epochs)]

    def _populate(self, council: Sender, balance: int, prices: Mapping[str, int]) -> None:
        roles = dict.fromkeys(self._users, Role.SUBMITTER) | dict.fromkeys(self._miners, Role.MINER)
        signers = self._users | self._miners
        for place, (name, role) in enumerate(roles.items()):
            # A name of the history may be no name of a namespace.
            args = [signers[name].address, f"n{place}", int(role)]
            self._propose(council, "Consortium", "admit", args)
        for user in self._users.values() if balance else ():
            payload = encode_call("TwinRegistry", "deposit", [user.address])
            council.send(self._contracts.address("TwinRegistry"), payload, balance)
        addresses = [miner.address for miner in self._miners.values()]
        self._propose(council, "StorageMarket", "setPrices", [addresses, list(prices.values())])

    def _propose(self, council: Sender, target: str, function: str, args: list[object]) -> None:
        call = encode_call(target, function, args)
        payload = encode_call("Consortium", "propose", [self._contracts.address(target), call, "replay"])
        council.send(self._contracts.address("Consortium"), payload)

    def _epoch(self, number: int, slots: Sequence[Fields]) -> dict[str, object]:
        self._move_to(number * self._slots)
        menu = self._contracts.menu()
        pending = [self._slot(number, at, slot, menu) for at, slot in enumerate(slots)]
        self._move_to((number + 1) * self._slots)
        high = sum(1 << at for at, (is_high, _) in enumerate(pending) if is_high)
        anything = sum(1 << at for at, (_, is_any) in enumerate(pending) if is_any)
        for miner in self._miners:
            self._send(miner, "post", number, high, anything)
        closer = next(iter(self._users))
        self._send(closer, "close", number)
        state = self._state(number, menu)
        while self._contracts.rebate().due:
            self._send(closer, "payRebates", number, _PAGE)
        return state

    def _slot(self, epoch: int, at: int, slot: Fields, menu: Menu) -> tuple[bool, bool]:
        """Seal one block's transactions; whether it left H pending, and anything."""
        self._move_to(epoch * self._slots + at)
        items = slot.items("txs", _item)
        for first in range(0, len(items), _BATCH):
            self._seal(slot, items[first : first + _BATCH], f"{epoch}.{at}.{first}", menu)
        high, low = slot.integer("backlog_H", low=0), slot.integer("backlog_L", low=0)
        slot.end("sealer")
        return high > 0, high + low > 0

    def _seal(self, slot: Fields, items: Sequence[_Item], label: str, menu: Menu) -> None:
        sealer = slot.text("sealer")
        if sealer not in self._miners:
            raise Malformed(f"the sealer {sealer!r} is no miner", field="sealer")
        submissions = [self._submission(item, f"{label}.{place}", menu) for place, item in enumerate(items)]
        signatures = [
            self._users[item.user].sign_hash(submission_digest(self._contracts.domain, submission))
            for item, submission in zip(items, submissions, strict=True)
        ]
        receipt = self._senders[sealer].send(
            self._contracts.address("TwinRegistry"), encode_seal(submissions, signatures)
        )
        names = {self._contracts.address(name): name for name in self._contracts.deployment.names}
        for log in receipt.logs:
            event = decode_log(names[log.address], log)
            if event.name == "Rejected":
                place = [submission.version.id for submission in submissions].index(event.args["versionId"])
                raise Malformed(f"{items[place].path} cannot be paid", field=items[place].path)

    def _submission(self, item: _Item, label: str, menu: Menu) -> Submission:
        if item.user not in self._users:
            raise Malformed(f"{item.path} names {item.user!r}, which is no user", field=item.path)
        user, digest = self._users[item.user].address, keccak(label.encode())
        namespace = self._contracts.account(user).namespace_id
        version = Version(namespace, name_hash("m"), digest, digest, (), item.size, NO_SALT, user)
        now = self._contracts.link.pending_time()
        return Submission(version, item.fee_class, menu.price(item.fee_class), now, now + 2 * _SLOT_S)

    def _move_to(self, slot: int) -> None:
        self._clock.at = max(self._clock.at, float(self._start + slot * _SLOT_S))

    def _send(self, who: str, function: str, *args: int) -> None:
        payload = encode_call("TwinRegistry", function, args)
        self._senders[who].send(self._contracts.address("TwinRegistry"), payload)

    def _state(self, epoch: int, menu: Menu) -> dict[str, object]:
        return {
            "menu_in_force": {
                "rho_H": menu.rho[FeeClass.PRIORITY],
                "rho_L": menu.rho[FeeClass.STANDARD],
                "tax_H": menu.tax[FeeClass.PRIORITY],
                "tax_L": menu.tax[FeeClass.STANDARD],
            },
            "tau_after": list(self._contracts.read("TwinRegistry", "tau")),
            "pool": self._contracts.read("TwinRegistry", "pool"),
            "carry": self._contracts.read("TwinRegistry", "carry"),
            "balances": {
                name: self._money(signer, epoch) for name, signer in (self._users | self._miners).items()
            },
        }

    def _money(self, signer: KeySigner, epoch: int) -> int:
        """Escrow and what was earned, whether the audit has released it or not."""
        held: int = self._contracts.account(signer.address).balance
        for past in range(epoch + 1):
            held += int(self._contracts.read("TwinRegistry", "creditOf", signer.address, past))
        return held


def _settings(fields: Fields, slots: int) -> DeploySettings:
    taus = fields.items("tau0", _amount)
    if len(taus) != 2:
        raise Malformed(f"tau0 must have 2 elements, got {len(taus)}", field="tau0")
    fees = FeeSettings(
        slots_per_epoch=slots,
        slot_s=_SLOT_S,
        eta=fields.integer("eta", low=0, high=32),
        # No run is longer than two epochs, so a cap above that is as good as none.
        run_cap=min(fields.integer("run_cap", low=0), 2 * slots),
        eps=fields.integer("eps", low=1),
        g_h=fields.integer("gH", low=0),
        g_l=fields.integer("gL", low=0),
        tau0_h=taus[0],
        tau0_l=taus[1],
        slot_bytes=_MOST_BYTES,
        grace_slots=0,
        max_item_bytes=_MOST_BYTES,
    )
    return DeploySettings(fees=fees)


def _epoch(value: object, path: str) -> list[Fields]:
    return [Fields(slot, f"{path}[{at}]") for at, slot in enumerate(elements(value, path))]


def _item(value: object, path: str) -> _Item:
    user, size, fee_class = elements(value, path, count=3)
    if fee_class not in ("H", "L"):
        raise Malformed(f"{path} has class {fee_class!r}, neither 'H' nor 'L'", field=path)
    chosen = FeeClass.PRIORITY if fee_class == "H" else FeeClass.STANDARD
    return _Item(text(user, path), _amount(size, path), chosen, path)


def _amount(value: object, path: str) -> int:
    return integer(value, path, low=0)


def _signer(name: str) -> KeySigner:
    return KeySigner(keccak(f"replay {name}".encode()))


_COUNCIL = _signer("of the council")
