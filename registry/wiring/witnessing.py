"""A witness of somebody else's logs: it keeps a mirror, and co-signs only what grew from it."""

import time

from registry.audit.completeness import Trust
from registry.audit.trust import TrustFile
from registry.audit.witness import OF_AN_ACCOUNT, AddCheckpoint, Witness
from registry.config import Home
from registry.core.checkpoint import Checkpoint
from registry.core.ids import parse_hex32
from registry.core.note import COSIGNATURE, Note, NoteSigner
from registry.errors import Malformed, Unavailable, VerificationFailed
from registry.sdk import Client
from registry.sdk.audit import LOGS
from registry.wiring.logs import log_secret


def witness_once(home: Home, client: Client, trust: TrustFile | None) -> list[tuple[str, str]]:
    """Co-sign the newest checkpoint of both logs; VerificationFailed when one was forked or rewound."""
    if trust is None:
        raise Malformed("a witness must know the logs' keys", hint="give --trust trust.json")
    folder = home.make().root / "witness"
    folder.mkdir(exist_ok=True)
    checkpoints = {name: client.audit.checkpoint(name) for name in LOGS}
    names = {_read(raw).origin: name for name, raw in checkpoints.items()}
    known: dict[str, Trust] = {origin: trust.for_log(origin) for origin in names}
    witness = Witness(
        folder,
        NoteSigner(f"{OF_AN_ACCOUNT}{client.address}", log_secret(folder / "key.ed25519"), COSIGNATURE),
        {origin: found.logs for origin, found in known.items()},
        lambda origin, path: client.audit.tile(names[origin], path),
        lambda: int(time.time()),
    )
    try:
        return [(name, _cosign(witness, client, name, raw)) for name, raw in checkpoints.items()]
    finally:
        witness.close()


def _cosign(witness: Witness, client: Client, name: str, raw: bytes) -> str:
    at = _read(raw)
    old = witness.mirror(at.origin).head().size
    if old > at.size:
        raise VerificationFailed(f"the {name} log had {old} entries and now shows {at.size}: it was rewound")
    proof = tuple(parse_hex32(node) for node in client.audit.consistency(name, old, at.size)) if old else ()
    answer = witness.add_checkpoint(AddCheckpoint(old, proof, raw).encode())
    text = answer.body.decode().strip()
    if answer.status == 503:
        raise Unavailable(f"the {name} log does not answer: {text}")
    if answer.status != 200:
        raise VerificationFailed(f"the {name} log at {at.size} entries is not co-signed: {text}")
    return text


def _read(raw: bytes) -> Checkpoint:
    return Checkpoint.parse(Note.parse(raw).text)
