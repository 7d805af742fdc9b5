"""What every part of the client shares: the connection, the signer, the deployment it signs for."""

from typing import Any

from registry.audit.trust import TrustFile, parse_trust
from registry.chain.deployment import Deployment, parse_deployment
from registry.chain.encoding import encode_call
from registry.core.ids import Address
from registry.core.refs import Reference, parse_cell, parse_reference
from registry.core.signing import Signer
from registry.core.transaction import Transaction, sign_transaction
from registry.core.version import Domain
from registry.errors import Unauthenticated
from registry.keystore import new_x25519, next_x25519, x25519_secrets
from registry.sdk.http import Http
from registry.sdk.settings import ClientSettings
from registry.wire import VersionAnswer, parse_body
from registry.wire_members import AccountBody

_GAS = 3_000_000


class Session:
    """One client's view of one gateway."""

    def __init__(self, settings: ClientSettings, cell: str | None) -> None:
        if cell is not None:
            parse_cell(cell)
        self._settings = settings
        self.http = Http(settings.url, signer=settings.signer, cell=cell)
        self._signer = settings.signer
        self._deployment: Deployment | None = None
        self._domain = settings.domain
        self.http.domain = settings.domain or (self.domain() if settings.signer else None)

    def signer(self) -> Signer:
        """Who signs; Unauthenticated when the client has no key."""
        if self._signer is None:
            raise Unauthenticated(
                "this needs a key", hint="run `twinledger key new NAME`, then give --key NAME"
            )
        return self._signer

    def in_cell(self, cell: str) -> "Session":
        """The same member asking from another cell."""
        return Session(self._settings, cell)

    def deployment(self) -> Deployment:
        """The contracts behind this gateway."""
        if self._deployment is None:
            self._deployment = parse_deployment(self.http.get("/v1/deployment"))
        return self._deployment

    def domain(self) -> Domain:
        """The EIP-712 domain: as pinned in client.toml, else as the gateway says."""
        if self._domain is None:
            deployment = self.deployment()
            self._domain = Domain(deployment.chain_id, deployment.address("TwinRegistry"))
        return self._domain

    def trust(self) -> TrustFile | None:
        """The trust file of this home, for a gateway that this home started; None for any other."""
        path = self._settings.trust
        return parse_trust(path.read_bytes()) if path is not None and path.is_file() else None

    def x25519_secrets(self) -> list[bytes]:
        """The secrets in this home that open what was wrapped to one's own address."""
        return x25519_secrets(self._settings.keys, self.signer().address)

    def new_x25519(self) -> bytes:
        """A new X25519 key of one's own; its secret is kept in this home beside the earlier ones."""
        return new_x25519(next_x25519(self._settings.keys, self.signer().address))

    def account(self, address: Address | None = None) -> AccountBody:
        """One account, one's own by default."""
        return parse_body(AccountBody, self.http.get(f"/v1/accounts/{address or self.signer().address}"))

    def version(self, reference: str) -> VersionAnswer:
        """The version that a reference means now."""
        return parse_body(VersionAnswer, self.http.get(f"/v1/versions/{path_of(reference)}"))

    def version_id(self, reference: str) -> str:
        """The full id of a reference; a full id needs no question."""
        text = reference.lower()
        return text if text.startswith("0x") and len(text) == 66 else self.version(reference).version_id

    def transact(self, path: str, contract: str, function: str, args: list[Any], *, value: int = 0) -> str:
        """Sign an ordinary transaction and have the gateway relay it; answers its hash."""
        to = self.deployment().address(contract)
        return self._relayed(path, to, encode_call(contract, function, args), value)

    def pay(self, address: Address, wei: int) -> str:
        """Pay into somebody's escrow."""
        return self.transact("/v1/transactions", "TwinRegistry", "deposit", [address], value=wei)

    def send_coin(self, address: Address, wei: int) -> str:
        """Pay somebody's address itself: what its transactions cost comes from there."""
        return self._relayed("/v1/transactions", address, b"", wei)

    def transaction_cost(self) -> int:
        """The most that one ordinary transaction costs now, in wei; nothing on a chain of base fee 0."""
        return _GAS * int(self.account().fee_policy.gas_price)

    def _relayed(self, path: str, to: Address, payload: bytes, value: int) -> str:
        account = self.account()
        transaction = Transaction(
            chain_id=self.domain().chain_id,
            nonce=account.nonce,
            gas_price=int(account.fee_policy.gas_price),
            gas=_GAS,
            to=to,
            value=value,
            payload=payload,
        )
        raw = sign_transaction(transaction, self.signer())
        return str(self.http.post(path, {"raw_transaction": "0x" + raw.hex()})["tx_hash"])


def path_of(reference: str | Reference) -> str:
    """A reference as it stands in a REST path."""
    read = parse_reference(reference) if isinstance(reference, str) else reference
    return str(read)
