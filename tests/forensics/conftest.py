"""A small consortium whose whole history is in two real logs: the scene of every case."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from registry.audit.chainlog import ChainEvent, ChainLog, origin_of
from registry.audit.evidence import Surroundings, export_case, versions_in
from registry.audit.gatewaylog import Caller, GatewayLog, Kept
from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.audit.publisher import publish_once
from registry.audit.query import all_rows
from registry.audit.rows import CHAIN, GATEWAY, Filter, Row
from registry.audit.trust import PinnedContract, TrustFile
from registry.audit.verify_case import Report, verify_case
from registry.audit.witness import Witness
from registry.core.canonical import canonical
from registry.core.cid import Cid
from registry.core.ids import Address, address_of, hex32, model_id, name_hash
from registry.core.manifest import Manifest, parse_manifest
from registry.core.note import COSIGNATURE, NoteSigner

REGISTRY = address_of(sha256(b"registry").digest()[:20])


def who(name: str) -> Address:
    return address_of(sha256(name.encode()).digest()[:20])


@dataclass
class World:
    """Drives both logs as a chain and a gateway would."""

    folder: Path
    now: int = 1_700_000_000
    block: int = 0
    chain_id: int = 31337
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tampering: Callable[[str, str, bytes], bytes] | None = None

    def __post_init__(self) -> None:
        self.chain_key = NoteSigner(origin_of(self.chain_id, REGISTRY), sha256(b"chain").digest())
        self.gateway_key = NoteSigner("gateway.example/log", sha256(b"gateway").digest())
        self.witness_key = NoteSigner("witness.example/w", sha256(b"witness").digest(), COSIGNATURE)
        salts = count()
        self.openings = OpeningStore(self.folder / "openings.db")
        self.logs = {
            CHAIN: LogStore(self.folder / "chain.db", self.chain_key, self.clock),
            GATEWAY: LogStore(self.folder / "gateway.db", self.gateway_key, self.clock),
        }
        self.gateway = GatewayLog(
            self.logs[GATEWAY], self.openings, clock=self.clock, salt=lambda: next(salts).to_bytes(32, "big")
        )
        chain = self.logs[CHAIN]
        self.chain = ChainLog(chain, lambda: chain.entry(len(chain) - 1) if len(chain) else None)
        self.witness = Witness(
            self.folder / "witness",
            self.witness_key,
            {key.key.name: [key.key] for key in (self.chain_key, self.gateway_key)},
            self.fetch,
            self.clock,
        )

    def clock(self) -> int:
        return self.now

    def fetch(self, origin: str, path: str) -> bytes:
        name = CHAIN if origin == self.chain_key.key.name else GATEWAY
        raw = self.logs[name].checkpoint() if path == "checkpoint" else self.logs[name].tile(path)
        return raw if self.tampering is None else self.tampering(name, path, raw)

    def event(self, contract: str, name: str, /, **args: Any) -> None:
        self.block += 1
        self.now += 1
        tx_hash = sha256(b"tx %d" % self.block).digest()
        self.chain.extend([ChainEvent(contract, name, args, self.block, self.now, tx_hash, 0)])

    def seal(
        self,
        model: str,
        by: str,
        *,
        parents: tuple[str, ...] = (),
        components: tuple[str, ...] = (),
        participants: tuple[dict[str, object], ...] = (),
        datasets: tuple[dict[str, object], ...] = (),
    ) -> str:
        """Seal a version with a real manifest; its id."""
        namespace, name = model.split("/")
        given: dict[str, object] = {
            "schema": "twinledger/manifest/1", "namespace": namespace, "name": name,
            "profile": "unixfs-v1-2025",
            "files": [
                {"path": "w.npz", "cid": str(Cid(0x55, sha256(b"w").digest())), "format": "npz",
                 "sha256": hex32(sha256(b"w").digest()), "size": 1 + len(self.manifests)}
            ],
            "parents": list(parents),
        }  # fmt: skip
        if components:
            given["components"] = [{"version": version, "role": "channel"} for version in components]
        if participants or datasets:
            given["training"] = {"participants": list(participants), "datasets": list(datasets)}
        manifest = parse_manifest(canonical(given))
        version = sha256(b"version" + manifest.digest).digest()
        self.manifests[hex32(version)] = manifest
        self.event(
            "TwinRegistry", "Registered",
            versionId=version, submitter=who(by), modelId=model_id(1, name), namespaceId=1,
            nameHash=name_hash(name), weightsRoot=sha256(b"root" + version).digest(),
            manifest=manifest.digest, salt=bytes(32),
            parents=tuple(bytes.fromhex(parent[2:]) for parent in parents), size=manifest.size,
            feeClass=0, fee=10**18, tax=0, epoch=0, slot=self.block,
        )  # fmt: skip
        return hex32(version)

    def alias(self, model: str, alias: str, version: str, by: str) -> None:
        name = model.split("/")[1]
        self.event(
            "TwinRegistry", "AliasSet", modelId=model_id(1, name), versionId=bytes.fromhex(version[2:]),
            by=who(by), name=alias,
        )  # fmt: skip

    def revoke(self, model: str, version: str, by: str, reason: str) -> None:
        self.event(
            "TwinRegistry", "StatusChanged", versionId=bytes.fromhex(version[2:]),
            modelId=model_id(1, model.split("/")[1]), by=who(by), status=3, reason=reason,
        )  # fmt: skip

    def retrieve(self, model: str, version: str, by: str, **where: str) -> Kept:
        self.now += 1
        caller = Caller(actor=who(by), **where)
        return self.gateway.retrieval(caller, model=model, version=version, outcome="served", size=1000)

    def publish(self) -> None:
        for log in self.logs.values():
            published = publish_once(log, [self.witness], {})
            assert published.refusals == (), published.refusals

    def rows(self, **asked: Any) -> list[Row]:
        given = Filter(**asked)
        return [
            row
            for name, log in self.logs.items()
            for row in all_rows(log, name, given, openings=self.openings if name == GATEWAY else None)
        ]

    @property
    def contracts(self) -> tuple[PinnedContract, ...]:
        return (PinnedContract("twin_registry", REGISTRY, sha256(b"code").digest()),)

    @property
    def trust(self) -> TrustFile:
        keys = tuple((key.key.name, key.key) for key in (self.chain_key, self.gateway_key))
        genesis = sha256(b"genesis").digest()
        return TrustFile(self.chain_id, genesis, self.contracts, None, None, keys, (self.witness_key.key,), 1)

    def export(self, asked: Filter | None = None, *, disclose: bool = True, **also: Any) -> bytes:
        asked = asked or Filter()
        openings = self.openings if disclose else None
        wanted = versions_in(self.logs, asked, openings=openings, **also)
        about = Surroundings(
            self.chain_id,
            sha256(b"genesis").digest(),
            self.contracts,
            (self.witness_key.key,),
            tuple(self.manifests[version] for version in wanted if version in self.manifests),
        )
        return export_case(self.logs, asked, about, created=self.now, openings=openings, **also)

    def verify(self, raw: bytes, *, pinned: bool = True) -> Report:
        path = self.folder / "case.zip"
        path.write_bytes(raw)
        return verify_case(path, self.trust if pinned else None)

    def close(self) -> None:
        for part in (*self.logs.values(), self.openings, self.witness):
            part.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def address() -> Callable[[str], Address]:
    """The address of a named member."""
    return who
