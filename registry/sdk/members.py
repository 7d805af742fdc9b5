"""Members, cells and the council."""

from collections.abc import Sequence
from typing import Any

from registry.chain.abi import canonical_type
from registry.chain.encoding import encode_call, function_entry
from registry.core.ids import Address, Role, to_address
from registry.core.refs import parse_cell
from registry.errors import Malformed, NotAuthorized
from registry.sdk.session import Session
from registry.wire import parse_body
from registry.wire_members import CellBody, MemberBody, ProposalBody

_FIRST_TRANSACTIONS = 10


class Members:
    """Who belongs to the consortium; changes are proposals to its council."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> list[MemberBody]:
        """Every address ever admitted."""
        return [parse_body(MemberBody, item) for item in self._session.http.items("/v1/members")]

    def add(self, address: str, namespace: str, roles: Sequence[str], *, grant: int = 0) -> str:
        """Propose to admit an address, or to change a member's roles; `grant` funds it.

        Into its escrow; where transactions cost something, the price of its first ones goes to its address.
        """
        account = to_address(address)
        if self._session.account(account).namespace_id:
            tx_hash = self._propose("Consortium", "setRoles", [account, _bits(roles)], f"change {account}")
        else:
            tx_hash = self._propose(
                "Consortium", "admit", [account, namespace, _bits(roles)], f"admit {account} to {namespace}"
            )
        # Without coin of its own a member could send nothing, not even the `withdraw` of its escrow.
        coin = min(grant, _FIRST_TRANSACTIONS * self._session.transaction_cost()) if grant else 0
        if coin:
            self._session.send_coin(account, coin)
        if grant > coin:
            self._session.pay(account, grant - coin)
        return tx_hash

    def remove(self, address: str) -> str:
        """Propose to remove a member."""
        return self._propose("Consortium", "remove", [to_address(address)], f"remove {address}")

    def register_key(self, x25519: bytes) -> str:
        """Register one's X25519 public key for private models."""
        return self._session.transact("/v1/members", "Consortium", "registerKey", [x25519])

    def make_key(self) -> str:
        """Make an X25519 key, keep its secret in HOME/keys, register it; answers the transaction's hash."""
        return self.register_key(self._session.new_x25519())

    def cells(self) -> list[CellBody]:
        """Every cell."""
        return [parse_body(CellBody, item) for item in self._session.http.items("/v1/cells")]

    def add_cell(self, cell: str, gateway: str | None = None) -> str:
        """Add a cell to one's own namespace, as `name` or `ns/name`; its gateway is oneself unless named."""
        mine = self._session.account()
        named = parse_cell(cell if "/" in cell else f"{mine.namespace}/{cell}")
        if named.namespace != mine.namespace:
            raise NotAuthorized(f"{mine.address} is of namespace {mine.namespace}, not of {named.namespace}")
        holder = mine.address if gateway is None else gateway
        return self._session.transact("/v1/cells", "Consortium", "addCell", [named.cell, to_address(holder)])

    def proposals(self) -> list[ProposalBody]:
        """Council proposals, newest first."""
        return [parse_body(ProposalBody, item) for item in self._session.http.items("/v1/proposals")]

    def propose(self, contract: str, function: str, args: Sequence[str], reason: str) -> str:
        """Propose any call, its arguments as text."""
        inputs = function_entry(contract, function)["inputs"]
        if len(inputs) != len(args):
            raise Malformed(f"{contract}.{function} takes {len(inputs)} arguments, got {len(args)}")
        values = [_value(canonical_type(entry), text) for entry, text in zip(inputs, args, strict=True)]
        return self._propose(contract, function, values, reason)

    def approve(self, number: int) -> str:
        """Approve a proposal; the last approval needed executes it."""
        return self._session.transact("/v1/proposals", "Consortium", "approve", [number])

    def execute(self, number: int) -> str:
        """Execute a proposal that has enough approvals."""
        return self._session.transact("/v1/proposals", "Consortium", "execute", [number])

    def _propose(self, contract: str, function: str, args: Sequence[Any], reason: str) -> str:
        target: Address = self._session.deployment().address(contract)
        call = encode_call(contract, function, args)
        return self._session.transact("/v1/proposals", "Consortium", "propose", [target, call, reason])


def _bits(roles: Sequence[str]) -> int:
    bits = Role(0)
    for name in (part for given in roles for part in given.split(",")):
        try:
            bits |= Role[name.upper()]
        except KeyError as e:
            known = ", ".join(role.name.lower() for role in Role if role.name)
            raise Malformed(f"{name!r} is no role", hint=f"roles are {known}") from e
    return int(bits)


def _value(kind: str, text: str) -> Any:
    if kind.endswith("[]"):
        return [_value(kind[:-2], part) for part in text.split(",") if part]
    if kind == "address":
        return to_address(text)
    try:
        if kind.startswith("uint"):
            return int(text)
        if kind.startswith("bytes"):
            return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as e:
        raise Malformed(f"{text!r} is no {kind}") from e
    return text
