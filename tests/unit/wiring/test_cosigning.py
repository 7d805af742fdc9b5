"""Two organisations over HTTP: one asks for a co-signature, the other reads its tiles and gives it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from registry.audit.completeness import Trust, page, verify_answer
from registry.audit.logstore import LogStore
from registry.audit.publisher import publish_once
from registry.audit.witness import Witness
from registry.config import Home, Settings, load_settings
from registry.core.ids import Address, keccak
from registry.core.log import LogEntry
from registry.core.note import NoteSigner, VerifierKey
from registry.core.signing import KeySigner
from registry.core.version import Domain
from registry.errors import Malformed, RegistryError
from registry.wiring.cosigning import NOTHING, RemoteWitness, logs_cosigned
from registry.wiring.logs import open_witness

ASKS = NoteSigner("gateway/asks", b"\x01" * 32)
SIGNER, DOMAIN = KeySigner(keccak(b"cosigns")), Domain(1337, Address("0x" + "0" * 40))


@dataclass
class Site:
    """An HTTP server that answers what stands at a prefix of its paths."""

    answers: dict[str, Callable[[str, bytes], tuple[int, bytes]]] = field(default_factory=dict)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            prefix = next((one for one in site.answers if self.path.startswith(one)), None)
            status, raw = (
                (404, b"") if prefix is None else site.answers[prefix](self.path[len(prefix) :], body)
            )
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield site
        server.shutdown()


def settings_of(folder: Path, **options: object) -> Settings:
    return load_settings(Home(folder), {}, folder=folder, options=options).settings


def entries(first: int, end: int) -> list[LogEntry]:
    return [LogEntry("refusal", 1_700_000_000 + n, details={"code": f"c{n}"}) for n in range(first, end)]


@dataclass
class Pair:
    """The log of one organisation, and the witness of another that looks after it."""

    log: LogStore
    site: Site
    witness: Witness
    asked: RemoteWitness

    def publish(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = publish_once(self.log, [self.asked], {})
        return found.cosigned_by, found.refusals


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        site = stack.enter_context(serving(Site()))
        log = stack.enter_context(closing(LogStore(tmp_path / "asks.db", ASKS, lambda: 1_700_000_000)))
        site.answers["/log/gateway/"] = lambda path, _: (200, log.tile(path))
        settings = settings_of(tmp_path, **{"log.cosigned": (f"{ASKS.key} {site.url}/log/gateway",)})
        home = Home(tmp_path / "cosigns").make()
        witness = open_witness(home, "witness/cosigns", [], logs_cosigned(settings, SIGNER, DOMAIN))
        stack.callback(witness.close)

        def add(_: str, body: bytes) -> tuple[int, bytes]:
            answer = witness.add_checkpoint(body)
            return answer.status, answer.body

        site.answers["/log/witness/add-checkpoint"] = add
        yield Pair(log, site, witness, RemoteWitness(witness.key, f"{site.url}/log/witness"))


def test_another_organisation_cosigns_what_grew(pair: Pair) -> None:
    for first, end in ((0, 3), (3, 300), (300, 301)):
        pair.log.append(entries(first, end))
        assert pair.publish() == (("witness/cosigns",), ())
    trust = Trust(pair.log.origin, (ASKS.key,), (pair.witness.key,))
    assert verify_answer([page(pair.log, "kind:refusal", limit=301)], trust).is_proved


def test_a_log_that_was_rewritten_is_not_cosigned(pair: Pair, tmp_path: Path) -> None:
    pair.log.append(entries(0, 5))
    pair.publish()
    with closing(LogStore(tmp_path / "fork.db", ASKS, lambda: 1_700_000_000)) as fork:
        fork.append(entries(1, 9))
        found = publish_once(fork, [pair.asked], {})
    assert found.cosigned_by == ()
    assert "422" in found.refusals[0]


def test_tiles_that_cannot_be_had_leave_the_log_unsigned_until_they_can(pair: Pair) -> None:
    tiles = pair.site.answers.pop("/log/gateway/")
    pair.log.append(entries(0, 3))
    assert pair.publish()[0] == ()
    pair.site.answers["/log/gateway/"] = tiles
    assert pair.publish() == (("witness/cosigns",), ())


def test_a_witness_that_fails_is_left_in_peace_for_a_while() -> None:
    now = 0.0
    witness = RemoteWitness(ASKS.key, "http://127.0.0.1:1/log/witness", lambda: now)
    assert witness.is_awake
    with pytest.raises(RegistryError, match="does not answer"):
        witness.add_checkpoint(b"")
    assert not witness.is_awake
    now = 30.0
    assert witness.is_awake


@pytest.mark.parametrize("text", ["", "http://a.example/log", f"{ASKS.key}", f"{ASKS.key} ftp://a.example"])
def test_what_names_no_log_is_refused_with_its_setting(tmp_path: Path, text: str) -> None:
    settings = settings_of(tmp_path, **{"log.cosigned": (text,)})
    with pytest.raises(Malformed, match=r"log\.cosigned"):
        logs_cosigned(settings, SIGNER, DOMAIN)


def test_a_setting_takes_no_place_of_ones_own_log(pair: Pair, tmp_path: Path) -> None:
    theirs = NoteSigner(ASKS.key.name, b"\x09" * 32).key
    pair.log.append(entries(0, 2))
    pair.log.publish()
    others: Mapping[VerifierKey, Callable[[str], bytes]] = {theirs: lambda _: b"not a tile"}
    for given in (NOTHING, others):
        home = Home(tmp_path / f"own-{len(given)}").make()
        with closing(open_witness(home, "witness/own", [pair.log], given)) as witness:
            assert publish_once(pair.log, [witness], {}).cosigned_by == ("witness/own",)
