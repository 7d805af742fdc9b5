"""From records of the service to shapes of the wire."""

import json

from registry.core.cid import manifest_cid, weights_cid
from registry.core.ids import Role, hex32
from registry.index import CellRow, GrantChange, MemberRow, ModelRow, VersionRow
from registry.service.accounts import AccountView, Quote
from registry.service.catalogue import Kin, status_name
from registry.wire import BlockBody, KinBody, ModelAnswer, QuoteBody, VersionAnswer, version_body
from registry.wire_members import AccountBody, CellBody, FeePolicyBody, GrantBody, MemberBody


def version_answer(row: VersionRow, aliases: list[str], *, manifest: bytes | None) -> VersionAnswer:
    """One version, with its manifest where it is wanted."""
    return VersionAnswer(
        version_id=hex32(row.version_id),
        number=row.number,
        model=row.model,
        namespace=row.namespace,
        name=row.name,
        status=status_name(row.status),
        fee_class=row.fee_class,
        version=version_body(row.version),
        manifest_cid=str(manifest_cid(row.version.manifest)),
        weights_cid=str(weights_cid(row.version.weights_root)),
        block=BlockBody(number=row.block, hash=hex32(row.block_hash), time=row.block_time),
        tx_hash=hex32(row.tx_hash),
        aliases=aliases,
        manifest=None if manifest is None else json.loads(manifest),
    )


def version_json(row: VersionRow, aliases: list[str]) -> bytes:
    """The answer with the manifest: JSON already, and dear to read and write again."""
    answer = version_answer(row, aliases, manifest=None).model_dump_json(by_alias=True).encode()
    return answer.removesuffix(b"null}") + (row.manifest or b"null") + b"}"


def model_answer(row: ModelRow) -> ModelAnswer:
    """One model."""
    return ModelAnswer(
        model=f"{row.namespace}/{row.name}",
        namespace=row.namespace,
        name=row.name,
        versions=row.versions,
        newest=hex32(row.newest),
        aliases={alias: hex32(version_id) for alias, version_id in sorted(row.aliases.items())},
    )


def kin_answer(kin: Kin) -> KinBody:
    """One version of a lineage."""
    return KinBody(
        version_id=hex32(kin.row.version_id),
        model=kin.row.model,
        number=kin.row.number,
        status=status_name(kin.row.status),
        depth=kin.depth,
        parents=[hex32(parent) for parent in kin.parents],
    )


def role_names(roles: Role) -> list[str]:
    """Roles as words, in the order of their bits."""
    return [role.name.lower() for role in Role if role in roles and role.name]


def account_answer(view: AccountView) -> AccountBody:
    """One account."""
    return AccountBody(
        address=view.address,
        nonce=view.nonce,
        chain_time=view.chain_time,
        fee_policy=FeePolicyBody(
            gas_price=str(view.fees.gas_price), tip=None if view.fees.tip is None else str(view.fees.tip)
        ),
        coin=str(view.coin),
        balance=str(view.balance),
        reserved=str(view.reserved),
        namespace=view.namespace,
        namespace_id=view.namespace_id,
        roles=role_names(view.roles),
    )


def member_answer(row: MemberRow) -> MemberBody:
    """One member."""
    return MemberBody(
        address=row.address,
        namespace=row.namespace,
        namespace_id=row.namespace_id,
        roles=role_names(row.roles),
        x25519=None if row.x25519 is None else hex32(row.x25519),
        key_version=row.key_version,
    )


def grant_answer(version: VersionRow, grant: GrantChange) -> GrantBody:
    """One reader of a private version."""
    return GrantBody(
        version_id=hex32(version.version_id),
        reader=grant.reader,
        key_version=grant.key_version,
        wrapped_key="0x" + (grant.wrapped_key or b"").hex(),
        granted_by=grant.actor,
        block=grant.block,
        time=grant.time,
    )


def cell_answer(row: CellRow) -> CellBody:
    """One cell."""
    return CellBody(cell=f"{row.namespace}/{row.name}", gateway=row.gateway)


def quote_answer(quote: Quote, expected_wait_s: float | None) -> QuoteBody:
    """One quote."""
    return QuoteBody(
        fee_class=int(quote.fee_class),
        size=quote.size,
        rho=str(quote.rho),
        tax=str(quote.tax),
        total=str(quote.total),
        expected_wait_s=expected_wait_s,
    )
