"""The two logs of a gateway: opened, fed from the chain, published once a second."""

import logging
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.audit.chainlog import ChainEvent, ChainLog, check_same_prefix, origin_of
from registry.audit.gatewaylog import GatewayLog
from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.audit.publisher import WitnessLink, publish_once
from registry.audit.witness import OF_AN_ACCOUNT, Witness, WitnessAnswer
from registry.chain.base import Block
from registry.chain.deployment import Deployment
from registry.chain.events import Event
from registry.chain.gateway import Contracts
from registry.config import Home, Settings
from registry.core.ids import Address, hex32
from registry.core.note import COSIGNATURE, NoteSigner, VerifierKey
from registry.errors import ChainReorganised, Malformed, RegistryError
from registry.keystore import write_private
from registry.wiring.cosigning import NOTHING, Tiles, witnesses_asked
from registry.wiring.origins import CHAIN, GATEWAY, OPENINGS, follow, make_room, put_aside

_log = logging.getLogger("registry.logs")
_RUN = 500
_FEW = 16  # blocks are asked for one by one: more is catching up, where most hold nothing


@dataclass(frozen=True, slots=True)
class Logs:
    """The chain log, which any gateway can rebuild, and the gateway log, which nobody can."""

    chain: LogStore
    chain_feed: ChainLog
    gateway: GatewayLog
    witness: Witness
    openings_aside: tuple[Path, ...] = ()  # of logs under earlier origins

    def close(self) -> None:
        """Everything acknowledged is on disk already."""
        self.witness.close()
        self.chain.close()
        self.gateway.log.close()
        self.gateway.openings.close()


def open_logs(
    home: Home,
    settings: Settings,
    contracts: Contracts,
    gateway: Address,
    cosigned: Mapping[VerifierKey, Tiles] = NOTHING,
) -> Logs:
    """Open both logs under HOME/log with the gateway's log key; a log of another origin makes room first.

    `cosigned` are the logs of others that the gateway's witness looks after too.
    """
    home.log.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = log_secret(settings.gateway.log_key_file or home.keys / "log.ed25519")
    chain_origin, own_origin = log_origins(settings, contracts.deployment, gateway)
    chain_signer, own_signer = NoteSigner(chain_origin, secret), NoteSigner(own_origin, secret)
    make_room(home.log, own_signer.key, chain_signer.key)
    chain = LogStore(home.log / CHAIN, chain_signer, now)
    own = LogStore(home.log / GATEWAY, own_signer, now)
    log = GatewayLog(
        own,
        OpeningStore(home.log / OPENINGS),
        clock=now,
        salt=lambda: secrets.token_bytes(32),
        merge_delay_s=settings.log.merge_delay_s,
    )
    follow(home.log, log)
    return Logs(
        chain=chain,
        chain_feed=ChainLog(chain, lambda: chain.entry(len(chain) - 1) if len(chain) else None),
        gateway=log,
        witness=open_witness(home, f"{OF_AN_ACCOUNT}{gateway}", [chain, own], cosigned),
        openings_aside=tuple(path for path in put_aside(home.log) if path.name == OPENINGS),
    )


def log_origins(settings: Settings, deployment: Deployment, gateway: Address) -> tuple[str, str]:
    """The origins of the chain log and of this gateway's own."""
    chain_origin = origin_of(deployment.chain_id, deployment.address("TwinRegistry"))
    return chain_origin, settings.log.origin or f"gateway/{deployment.chain_id}/{gateway}"


def log_secret(path: Path) -> bytes:
    """The 32 secret bytes of the logs' Ed25519 key, made at the first start."""
    if not path.exists():
        write_private(path, secrets.token_hex(32) + "\n")
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as e:
        raise Malformed(f"the log key {path} cannot be read: {e}", hint="restore it from its backup") from e
    if len(secret) != 32:
        raise Malformed(
            f"the log key {path} has {len(secret)} bytes, not 32", hint="restore it from its backup"
        )
    return secret


class LocalWitness:
    """This gateway's own witness, asked without a network."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    @property
    def key(self) -> VerifierKey:
        """The key that goes into trust files."""
        return self._witness.key

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """Ask for a co-signature."""
        return self._witness.add_checkpoint(body)


def open_witness(
    home: Home, name: str, logs: Sequence[LogStore], others: Mapping[VerifierKey, Tiles]
) -> Witness:
    """A witness with a key of its own, that rebuilds tree and map of each log before it co-signs."""
    secret = log_secret(home.keys / "witness.ed25519")
    # One's own come last: a setting takes neither their origins nor their place.
    known = {**others, **{VerifierKey.parse(log.verifier_key): log.tile for log in logs}}
    tiles = {key.name: read for key, read in known.items()}
    return Witness(
        home.log / "witness",
        NoteSigner(name, secret, COSIGNATURE),
        {key.name: [key] for key in known},
        lambda origin, path: tiles[origin](path),
        now,
    )


class LogKeeper:
    """Feeds final chain events into the chain log, and publishes both logs."""

    def __init__(self, logs: Logs, contracts: Contracts, settings: Settings) -> None:
        self._logs = logs
        self._contracts = contracts
        self._period_s = settings.log.checkpoint_s
        self.witnesses: list[WitnessLink] = []
        self.others = witnesses_asked(settings)
        self._witnessed: dict[str, int] = {}
        self._fed = -1
        self._standing: bytes | None = None

    def run(self, stop: threading.Event) -> None:
        """Keep both logs fresh until told to stop."""
        while not stop.wait(self._period_s):
            try:
                self.keep()
                self.ask_others()
            except RegistryError as e:
                _log.warning("the logs wait: %s", e)

    def keep(self) -> None:
        """Take in what became final, then publish; promises are kept whatever becomes of the chain."""
        try:
            self.feed()
        finally:
            for log in (self._logs.chain, self._logs.gateway.log):
                publish_once(log, self.witnesses, self._witnessed)

    def ask_others(self) -> None:
        """Have the gateway log co-signed elsewhere; they read its tiles meanwhile, so its API must run."""
        if awake := [witness for witness in self.others if witness.is_awake]:
            publish_once(self._logs.gateway.log, awake, self._witnessed)

    def feed(self) -> None:
        """Append every final event that the chain log lacks.

        ChainReorganised, and nothing is appended, when what the log was fed with is no longer on the chain.
        """
        link = self._contracts.link
        final = link.head().number - link.confirmations
        if final < self._fed:
            return  # a node that is behind the one asked before
        if self._standing is not None:
            self._check_standing()
        # What is final is read once; only after a start may the last block be in the log in part.
        known = max(self._fed + 1, self._logs.chain_feed.last_place[0])
        first = max(self._contracts.deployment.start_block, known)
        while first <= final:
            last = min(final, first + _RUN - 1)
            events, blocks = self._read(first, last)
            if self._standing is None:
                self._check_newest(events)
            self._logs.chain_feed.extend(
                chain_event(event, blocks[event.log.block_number].time) for event in events
            )
            self._standing = blocks[last].hash
            first, self._fed = last + 1, last

    def _read(self, first: int, last: int) -> tuple[list[Event], dict[int, Block]]:
        """The events of these blocks, and at least the blocks that have some and the last one."""
        link = self._contracts.link
        if last - first < _FEW:
            # The follower read them a moment ago.
            blocks = [link.block(number) for number in range(first, last + 1)]
            return self._contracts.events_in(blocks), {block.number: block for block in blocks}
        events = self._contracts.events(first, last)
        numbers = {last, *(event.log.block_number for event in events)}
        return events, {number: link.block(number) for number in numbers}

    def _check_standing(self) -> None:
        """The newest block that the log was fed to is where it was; with it all before it are."""
        found = self._contracts.link.block(self._fed).hash
        if self._standing != found:
            raise ChainReorganised(
                f"block {self._fed} was final and is {hex32(found)} now: the chain log grows no further",
                block=self._fed,
            )

    def _check_newest(self, events: Sequence[Event]) -> None:
        """After a start the log itself says what was final: its newest entry is of an event that stands."""
        log, place = self._logs.chain, self._logs.chain_feed.last_place
        if not len(log):
            return
        held = log.entry(len(log) - 1)
        for event in events:
            if (event.log.block_number, event.log.index) == place:
                found = chain_event(event, self._contracts.link.block(place[0]).time)
                check_same_prefix([held], [found])
                return
        raise ChainReorganised(
            f"entry {held.index} of the chain log is of block {place[0]}, which holds no such event now",
            index=held.index,
            block=place[0],
        )


def chain_event(event: Event, time_: int) -> ChainEvent:
    """An event as the chain log takes it."""
    log = event.log
    return ChainEvent(event.contract, event.name, event.args, log.block_number, time_, log.tx_hash, log.index)


def now() -> int:
    """The clock in whole seconds."""
    return int(time.time())
