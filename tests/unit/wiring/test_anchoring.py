"""A gateway's anchors: two that anchor at once; its log's key on the chain, and who finds it there."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from processes import keep_key

from registry.audit.logstore import LogStore
from registry.chain.blocks import Genesis
from registry.chain.deploy import Settings as Rules
from registry.chain.deploy import deploy
from registry.chain.deployment import Deployment, contracts_json
from registry.chain.embedded import EmbeddedChain
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.sender import Sender
from registry.config import Home, Settings, load_settings
from registry.core.ids import Role, hex32, keccak
from registry.core.note import NoteSigner, VerifierKey
from registry.core.signing import KeySigner
from registry.errors import VerificationFailed
from registry.wiring.anchoring import Anchors
from registry.wiring.installation import Installation
from registry.wiring.logs import Logs, open_logs

COUNCIL, OURS, THEIRS = (KeySigner(keccak(name.encode())) for name in ("council", "ours", "theirs"))
THEIR_LOG = NoteSigner("theirs/log", b"\x05" * 32).key
POSTGRESQL = {"database": "postgresql", "postgresql__dsn_file": "dsn"}
GENESIS = Genesis(1337, tuple((key.address, 10**24) for key in (COUNCIL, OURS, THEIRS)))


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Deployment]:
    """The chain of a consortium that has admitted two gateways. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("founded") / "chain"
    link = EmbeddedChain(folder, GENESIS)
    made = deploy(link, COUNCIL, Rules(), [COUNCIL.address], 1)
    council, place = Sender(link, COUNCIL), made.address("Consortium")
    for key, namespace in ((OURS, "ours"), (THEIRS, "theirs")):
        call = encode_call("Consortium", "admit", [key.address, namespace, int(Role.GATEWAY)])
        council.send(place, encode_call("Consortium", "propose", [place, call, "for a test"]))
    link.close()
    return folder, made


@pytest.fixture
def contracts(founded: tuple[Path, Deployment], tmp_path: Path) -> Iterator[Contracts]:
    folder, made = founded
    link = EmbeddedChain(Path(shutil.copytree(folder, tmp_path / "chain")), GENESIS)
    yield Contracts(link, made)
    link.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").make()
    keep_key(home.root, "gateway", "ours")
    return home


@pytest.fixture
def logs(home: Home, contracts: Contracts) -> Iterator[Logs]:
    opened = open_logs(home, settings_of(home), contracts, OURS.address)
    yield opened
    opened.close()


def settings_of(home: Home, **options: str) -> Settings:
    given = {name.replace("__", "."): value for name, value in options.items()}
    return load_settings(home, {}, folder=home.root, options=given).settings


def anchors(home: Home, logs: Logs, contracts: Contracts) -> Anchors:
    """As they are after each start."""
    return Anchors(logs, contracts, OURS, settings_of(home))


def register(contracts: Contracts, key: KeySigner, origin: str, public: bytes) -> None:
    payload = encode_call("Consortium", "registerLogKey", [origin, public])
    Sender(contracts.link, key).send(contracts.address("Consortium"), payload)


def own_key(logs: Logs) -> VerifierKey:
    return VerifierKey.parse(logs.gateway.log.verifier_key)


def test_the_key_is_registered_once_however_often_the_gateway_starts(
    home: Home, logs: Logs, contracts: Contracts
) -> None:
    key = own_key(logs)
    assert contracts.log_key(key.name) is None
    assert contracts.log_origins() == set()
    for _ in range(2):
        started = anchors(home, logs, contracts)
        started.register()
        started.register()
    assert contracts.log_key(key.name) == key
    assert contracts.log_origins() == {key.name}
    assert contracts.link.mined_nonce(OURS.address) == 1


def test_a_new_key_takes_the_place_of_the_old_one(home: Home, logs: Logs, contracts: Contracts) -> None:
    key = own_key(logs)
    register(contracts, OURS, key.name, b"\x07" * 32)
    anchors(home, logs, contracts).register()
    assert contracts.log_key(key.name) == key


def test_an_origin_that_another_gateway_took_stays_its_own(
    home: Home, logs: Logs, contracts: Contracts, caplog: pytest.LogCaptureFixture
) -> None:
    key = own_key(logs)
    register(contracts, THEIRS, key.name, b"\x07" * 32)
    anchors(home, logs, contracts).register()
    held = contracts.log_key(key.name)
    assert held is not None
    assert held.public == b"\x07" * 32
    assert f"the key of {key.name} is not registered" in caplog.text


def installation(home: Home, contracts: Contracts, *, is_asked: bool = True, **options: str) -> Installation:
    settings = settings_of(home, **options)
    return Installation(home, settings, contracts.deployment, contracts if is_asked else None, None)


def name_in_trust(home: Home, contracts: Contracts, key: VerifierKey) -> None:
    deployment = contracts.deployment
    trust = {
        "schema": "twinledger/trust/1",
        "chain_id": deployment.chain_id,
        "genesis_hash": hex32(deployment.genesis_hash),
        "contracts": contracts_json(deployment.contracts),
        "sealers": None,
        "council_head": None,
        "logs": [{"origin": key.name, "key": str(key)}],
        "witnesses": [],
        "quorum": 0,
    }
    home.trust.write_text(json.dumps(trust))


class Slow(Anchors):
    """Somebody else anchors between its look and its transaction."""

    others: Callable[[], object]

    def _latest(self, log: LogStore) -> tuple[bytes, bytes, int, int, str]:
        found = super()._latest(log)
        self.others()
        return found


def at_once(home: Home) -> Settings:
    """No slot has to go by between two anchors."""
    settings = settings_of(home)
    return replace(settings, log=replace(settings.log, anchor_slots=0))


def news(logs: Logs) -> None:
    logs.gateway.stopped(reason="for a test")
    logs.gateway.log.publish()


def test_an_anchor_that_comes_second_is_left_to_the_next_time(
    home: Home, logs: Logs, contracts: Contracts
) -> None:
    settings = at_once(home)
    first, second = (kind(logs, contracts, OURS, settings) for kind in (Anchors, Slow))
    second.others = list
    news(logs)
    assert second.anchor() == [logs.gateway.log.origin]

    def overtake() -> None:
        if second.others is overtake:
            second.others = list
            news(logs)
            assert first.anchor() == [logs.gateway.log.origin]
            news(logs)

    news(logs)
    second.others = overtake
    assert second.anchor() == []
    assert second.anchor() == [logs.gateway.log.origin]
    second.check()


def test_a_log_that_was_rewritten_is_not_anchored_and_it_is_said(
    home: Home, logs: Logs, contracts: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Anchors(logs, contracts, OURS, at_once(home))
    news(logs)
    own.anchor()
    news(logs)
    monkeypatch.setattr(LogStore, "consistency", lambda *_: [bytes(32)])
    with pytest.raises(VerificationFailed, match="inconsistent log"):
        own.anchor()


def test_a_pool_in_a_file_is_nobody_elses(home: Home, logs: Logs, contracts: Contracts) -> None:
    anchors(home, logs, contracts).register()
    register(contracts, THEIRS, "theirs/log", b"\x07" * 32)
    assert not installation(home, contracts).is_shared()


def test_a_pool_on_a_server_is_shared_once_the_chain_knows_another_log(
    home: Home, logs: Logs, contracts: Contracts
) -> None:
    here = installation(home, contracts, **POSTGRESQL)
    anchors(home, logs, contracts).register()
    assert not here.is_shared(), "its own log is not another one"
    register(contracts, THEIRS, "theirs/log", b"\x07" * 32)
    assert here.is_shared()
    assert not installation(home, contracts, is_asked=False, **POSTGRESQL).is_shared()


@pytest.mark.parametrize("options", [{}, POSTGRESQL])
def test_a_pool_is_shared_when_the_operator_wrote_another_log_down(
    home: Home, contracts: Contracts, options: dict[str, str]
) -> None:
    name_in_trust(home, contracts, THEIR_LOG)
    assert installation(home, contracts, is_asked=False, **options).is_shared()


def test_the_operators_word_for_a_key_comes_before_the_chains(
    home: Home, logs: Logs, contracts: Contracts
) -> None:
    register(contracts, THEIRS, THEIR_LOG.name, b"\x07" * 32)
    promised = installation(home, contracts).promised()
    assert promised is not None
    found = promised.key_of(THEIR_LOG.name)
    assert found is not None
    assert found.public == b"\x07" * 32
    assert promised.key_of("nobody/log") is None
    name_in_trust(home, contracts, THEIR_LOG)
    promised = installation(home, contracts).promised()
    assert promised is not None
    assert promised.key_of(THEIR_LOG.name) == THEIR_LOG
