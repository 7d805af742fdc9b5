"""`GET /v1/versions/{ref}` with a full index, against a bare FastAPI route on the same machine.

`python scripts/bench/versions.py version|bare FOLDER COUNT` is one of the two servers; `measure` starts both.
"""

import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uvicorn
from fastapi import FastAPI
from kit import ROOT, Result, percentile

from registry.api import create_app
from registry.config import Home, load_settings
from registry.core.cid import RAW, Cid
from registry.core.ids import VersionId, hex32, keccak, name_hash
from registry.core.manifest import FileEntry, Manifest, build_manifest
from registry.core.version import NO_SALT, Version
from registry.index import BlockMark, Line, Projection, Readable
from registry.wiring.backends import open_chain
from registry.wiring.consortium import create_consortium, make_keys
from registry.wiring.gateway import open_gateway
from registry.wiring.up import bind

MODELS = 1_000
BLOCK = 10_000


def measure(*, full: bool) -> list[Result]:
    """Sequential requests in turn over two kept-alive connections."""
    requests = 5_000 if full else 1_000
    versions = 100_000 if full else 20_000
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = [stack.enter_context(_server(kind, Path(folder), versions)) for kind in ("version", "bare")]
        ours, bare = (stack.enter_context(_connection(port)) for port in ports)
        of_each = versions // MODELS
        paths = [
            f"/v1/versions/local/model-{n % MODELS}@v{1 + n % of_each}" for n in range(0, 77 * requests, 77)
        ]
        for path in paths[:200]:
            _ask(ours, path), _ask(bare, path)
        took = [(_ask(ours, path), _ask(bare, path)) for path in paths]
    mine, theirs = [a for a, _ in took], [b for _, b in took]
    ratio = statistics.median(mine) / statistics.median(theirs)
    figures = [
        f"{1e3 * statistics.median(v):.2f} ms (p99 {1e3 * percentile(v, 0.99):.1f})" for v in (mine, theirs)
    ]
    what = f"GET /v1/versions/NS/NAME@vN, {versions:,} versions in the index"
    note = "the bare route is `async def` and answers a dictionary of one key"
    return [Result(what, figures[0], f"bare FastAPI route: {figures[1]}", ratio, 2, note, at_most=True)]


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, path: str) -> float:
    start = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"{path} answered {response.status}")
    return time.perf_counter() - start


@contextmanager
def _server(kind: str, folder: Path, versions: int) -> Iterator[int]:
    command = [sys.executable, __file__, kind, str(folder / kind), str(versions)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _serve(app: FastAPI) -> None:
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, http="httptools", ws="none", lifespan="off"
    )
    listener = bind("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def _bare() -> FastAPI:
    app = FastAPI()

    @app.get("/v1/versions/{namespace}/{name}")
    async def show(namespace: str, name: str) -> dict[str, str]:
        return {"version": f"{namespace}/{name}"}

    return app


def _full(folder: Path, versions: int) -> FastAPI:
    """The real application over a full index; nothing follows the chain, so nothing else runs."""
    home = Home(folder).make()
    settings = load_settings(home, {}, folder=home.root).settings
    keys = make_keys(home)
    link = open_chain(settings, home)
    deployment = create_consortium(home, settings, link, keys)
    gateway = open_gateway(home, settings, link, deployment, keys.gateway)
    gateway.service.follower.catch_up()
    namespace_id = gateway.service.index.namespace_id("local")
    assert namespace_id is not None
    _fill(Projection(gateway.databases.index), namespace_id, keys.member.address, versions)
    return create_app(gateway.service, settings)


def _fill(projection: Projection, namespace_id: int, submitter: str, versions: int) -> None:
    """Project blocks of registrations that no chain has sealed: the index cannot tell, and it is faster."""
    manifests = [_manifest(number) for number in range(MODELS)]
    projection.add_manifests(Readable(hex32(m.digest), "local", m.name, m.bytes, ()) for m in manifests)
    parent: tuple[VersionId, ...] = ()
    after = projection.cursor()
    assert after is not None
    for start in range(0, versions, BLOCK):
        mark = _mark(after.number + 1)
        lines = []
        for place in range(BLOCK):
            version = _version(
                manifests[(start + place) % MODELS], namespace_id, submitter, start + place, parent
            )
            parent = (version.id,)
            lines.append(_line(version, mark.number, place))
        if not projection.apply(after, [mark], lines):
            raise RuntimeError(f"somebody else projected block {mark.number}")
        after = mark


def _mark(number: int) -> BlockMark:
    return BlockMark(number, keccak(number.to_bytes(8, "big")), 1_700_000_000 + number)


def _manifest(number: int) -> Manifest:
    digest = keccak(b"weights %d" % number)
    file = FileEntry("twin.safetensors", Cid(RAW, digest), digest, 65_536, "safetensors")
    given = {
        "description": f"RSRP twin of cell {number}",
        "tags": ["rsrp", "uma"],
        "metrics": {"rmse_db": 4.5},
    }
    return build_manifest("local", f"model-{number}", [file], (), given)


def _version(
    manifest: Manifest, namespace_id: int, submitter: str, number: int, parents: tuple[VersionId, ...]
) -> Version:
    root = keccak(b"root %d" % number)
    name = name_hash(manifest.name)
    return Version(namespace_id, name, root, manifest.digest, parents, 70_000, NO_SALT, submitter)


def _line(version: Version, block: int, place: int) -> Line:
    args = {
        "versionId": version.id,
        "modelId": keccak(version.namespace_id.to_bytes(8, "big") + version.name_hash),
        "submitter": version.submitter,
        "namespaceId": version.namespace_id,
        "nameHash": version.name_hash,
        "weightsRoot": version.weights_root,
        "manifest": version.manifest,
        "parents": version.parents,
        "size": version.size,
        "salt": version.salt,
        "feeClass": 0,
        "fee": 10,
        "tax": 1,
        "epoch": 0,
        "slot": 0,
    }
    tx_hash = keccak(b"tx" + block.to_bytes(8, "big"))
    return Line(block, place, 1_700_000_000 + block, tx_hash, 0, place, "TwinRegistry", "Registered", args)


if __name__ == "__main__":
    _serve(_bare() if sys.argv[1] == "bare" else _full(Path(sys.argv[2]), int(sys.argv[3])))
