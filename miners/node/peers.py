"""Other miners as an auditor meets them: asked for one block by its CID, believed only if it hashes to it."""

import http.client
from typing import Protocol
from urllib.parse import urlsplit

from registry.core.cid import Cid
from registry.core.ids import sha256
from registry.errors import NotFound, Unavailable, VerificationFailed
from registry.storage.base import ContentStore

ANSWER_S = 10.0
_MOST_BYTES = 4 << 20


class Peer(Protocol):
    """One miner's content."""

    def block(self, cid: Cid) -> bytes:
        """The bytes of one block.

        NotFound or VerificationFailed when it answers without them, Unavailable when it does not answer.
        """


class StorePeer:
    """A miner in the same process."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def block(self, cid: Cid) -> bytes:
        """The bytes of one block, read from its store."""
        return checked(cid, self._store.block(cid))


class HttpPeer:
    """A miner that serves a trustless gateway (`/ipfs/{cid}?format=raw`) and is waited for so long."""

    def __init__(self, url: str, answer_s: float = ANSWER_S) -> None:
        self.url = url.rstrip("/")
        self._answer_s = answer_s
        self._parts = urlsplit(self.url)

    def block(self, cid: Cid) -> bytes:
        """The bytes of one block, fetched."""
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=self._answer_s)
        try:
            connection.request("GET", f"/ipfs/{cid}?format=raw")
            response = connection.getresponse()
            body = response.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as e:
            raise Unavailable(f"{self.url} does not answer: {e}") from e
        finally:
            connection.close()
        if response.status >= 500:
            raise Unavailable(f"{self.url} answered /ipfs/{cid} with {response.status}")
        if response.status != 200:
            raise NotFound(f"{self.url} does not hold {cid}")
        return checked(cid, body)


def checked(cid: Cid, block: bytes) -> bytes:
    """The block, when it is the one the CID names."""
    if sha256(block) != cid.digest:
        raise VerificationFailed(f"{len(block)} bytes came for {cid} that hash to another CID")
    return block
