"""What a route's address says of the transaction sent to it: the same act on the same thing."""

from collections.abc import Callable
from typing import Any

from registry.chain.encoding import decode_call
from registry.core.ids import VersionId, hex32, to_address
from registry.core.version import Version
from registry.errors import Malformed
from registry.index import Index

Check = Callable[[bytes], None]
_HINT = "send any other transaction to POST /v1/transactions"


def expect_alias(index: Index, model: str, alias: str) -> Check:
    """Only a `setAlias` of this alias, at a version of this model."""

    def check(payload: bytes) -> None:
        version, given = _arguments(payload, "setAlias")
        row = index.version(version.id)
        if given != alias:
            raise Malformed(
                f"the transaction sets the alias {given!r}, the route names {alias!r}", hint=_HINT
            )
        # A version that is not sealed is the contract's to refuse.
        if row is not None and row.model != model:
            raise Malformed(f"the transaction is for {row.model}, the route names {model}", hint=_HINT)

    return check


def expect_version(function: str, version_id: VersionId) -> Check:
    """Only this function, called for this version."""

    def check(payload: bytes) -> None:
        version = _arguments(payload, function)[0]
        if version.id != version_id:
            raise Malformed(
                f"the transaction is for {hex32(version.id)}, the route names {hex32(version_id)}", hint=_HINT
            )

    return check


def _arguments(payload: bytes, function: str) -> tuple[Version, Any]:
    """The version that a call of `function` is for, and its next argument."""
    called, values = decode_call("TwinRegistry", payload)
    if called != function:
        raise Malformed(f"the transaction calls {called}, this route relays {function}", hint=_HINT)
    namespace_id, name, root, manifest, parents, size, salt, submitter = values[0]
    version = Version(
        namespace_id=namespace_id,
        name_hash=name,
        weights_root=root,
        manifest=manifest,
        parents=tuple(VersionId(parent) for parent in parents),
        size=size,
        salt=salt,
        submitter=to_address(submitter),
    )
    return version, values[1] if len(values) > 1 else None
