"""JSON shapes of members: accounts, cells, grants and council proposals."""

from registry.wire import AddressText, Body, Hex32, HexData, Wei


class FeePolicyBody(Body):
    """How a transaction must pay: legacy at `gas_price`, or with a `tip` EIP-1559 with it as the cap."""

    gas_price: Wei
    tip: Wei | None


class AccountBody(Body):
    """What the chain holds of an address, and what this gateway has reserved of it; money in wei."""

    address: AddressText
    nonce: int
    chain_time: int
    fee_policy: FeePolicyBody
    coin: Wei
    balance: Wei
    reserved: Wei
    namespace: str | None
    namespace_id: int
    roles: list[str]


class MemberBody(Body):
    """A member; without roles it was removed."""

    address: AddressText
    namespace: str
    namespace_id: int
    roles: list[str]
    x25519: Hex32 | None
    key_version: int


class GrantBody(Body):
    """One reader of a private version, and the version's key wrapped to the reader's X25519 key."""

    version_id: Hex32
    reader: AddressText
    key_version: int
    wrapped_key: HexData
    granted_by: AddressText
    block: int
    time: int


class CellBody(Body):
    """A radio cell and the gateway that may attest to it."""

    cell: str
    gateway: AddressText


class ProposalBody(Body):
    """A council proposal: the call it makes, and where its approvals stand."""

    id: int
    target: AddressText
    proposer: AddressText
    executed: bool
    call: str | None
    data: HexData
    reason: str
    approvals: int
    threshold: int
