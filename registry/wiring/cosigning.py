"""Co-signatures between organisations (C2SP tlog-witness): whom we ask for theirs, and whose logs get ours.

Gateway logs only: the chain log is the same on every gateway, and anyone builds it anew from the chain.
"""

import http.client
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from registry.audit.witness import WitnessAnswer
from registry.config import Settings
from registry.core.note import VerifierKey
from registry.core.signing import Signer
from registry.core.version import Domain
from registry.errors import Malformed, RegistryError, Unauthenticated, Unavailable
from registry.sdk.http import Http

Tiles = Callable[[str], bytes]
NOTHING: Mapping[VerifierKey, Tiles] = MappingProxyType({})
_ANSWER_S = 5.0
_REST_S = 30.0
_MOST = 64 * 1024


class RemoteWitness:
    """A witness that is asked over HTTP; one that fails rests, so that no checkpoint waits for it twice."""

    def __init__(self, key: VerifierKey, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = key
        self._url = urlsplit(url)
        self._clock = clock
        self._rests_until = clock()

    @property
    def key(self) -> VerifierKey:
        """Whose line its answers must bear."""
        return self._key

    @property
    def is_awake(self) -> bool:
        """Whether it is worth asking."""
        return self._clock() >= self._rests_until

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """Ask for a co-signature; Unavailable when nobody answers."""
        self._rests_until = self._clock() + _REST_S
        answer = self._post(body)
        if answer.status in (http.HTTPStatus.OK, http.HTTPStatus.CONFLICT):
            self._rests_until = self._clock()
        return answer

    def _post(self, body: bytes) -> WitnessAnswer:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=_ANSWER_S)
        try:
            connection.request("POST", f"{self._url.path}/add-checkpoint", body=body)
            response = connection.getresponse()
            return WitnessAnswer(response.status, response.read(_MOST))
        except (OSError, http.client.HTTPException) as e:
            raise Unavailable(f"the witness {self._key.name} does not answer: {e}") from e
        finally:
            connection.close()


def witnesses_asked(settings: Settings) -> list[RemoteWitness]:
    """The witnesses of others that co-sign this gateway's log."""
    return [RemoteWitness(key, url) for key, url in _named(settings.log.witnesses, "log.witnesses")]


def logs_cosigned(settings: Settings, signer: Signer, domain: Domain) -> Mapping[VerifierKey, Tiles]:
    """The logs of others that this gateway's witness co-signs, with where their tiles are read."""
    return {key: _tiles(url, signer, domain) for key, url in _named(settings.log.cosigned, "log.cosigned")}


def _tiles(url: str, signer: Signer, domain: Domain) -> Tiles:
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}"
    anyone, member = (Http(place, signer=one, cell=None, timeout_s=_ANSWER_S) for one in (None, signer))
    member.domain = domain

    def read(path: str) -> bytes:
        try:
            return _read(anyone, f"{parts.path}/{path}")
        except Unauthenticated:  # a log for members: of a consortium that is this gateway's too
            return _read(member, f"{parts.path}/{path}")

    return read


def _read(source: Http, path: str) -> bytes:
    with source.stream(path) as response:
        return response.read()


def _named(given: Iterable[str], setting: str) -> Iterable[tuple[VerifierKey, str]]:
    for text in given:
        key, _, url = text.rpartition(" ")
        try:
            parsed = VerifierKey.parse(key)
        except RegistryError as e:
            raise Malformed(f"{setting}: {e.message}", hint="write a verifier key, a space and a URL") from e
        if urlsplit(url).scheme not in ("http", "https"):
            raise Malformed(f"{setting}: {url!r} is no URL", hint="write a verifier key, a space and a URL")
        yield parsed, url.rstrip("/")
