"""What the benchmarks share: results and how they are written down, rounds, and the naive contract."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi import encode

from registry.chain.base import ChainLink, FeePolicy, Receipt
from registry.chain.signed import Draft, sign_draft
from registry.core.ids import Address, address_of, keccak
from registry.core.log import LogEntry
from registry.core.signing import KeySigner

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs" / "benchmarks.json"
PAGE = ROOT / "docs" / "benchmarks.md"
NAIVE_GAS = 600_000


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: two figures of the same run, and what their ratio should be at least."""

    what: str
    ours: str
    against: str
    ratio: float
    target: float
    note: str = ""
    at_most: bool = False

    @property
    def is_reached(self) -> bool:
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def side_by_side(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[float, float]:
    """The medians of two measurements taken in turn, so that a busy moment of the machine hits both."""
    pairs = [(first(), second()) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@cache
def _naive() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (Path(__file__).parent / "contracts" / "artifacts" / "Naive.json").read_text()
    )
    return found


def naive_code(fee: int = 7) -> bytes:
    """What creates the naive contract."""
    return bytes.fromhex(_naive()["bytecode"].removeprefix("0x")) + encode(["uint256"], [fee])


def naive_abi() -> list[dict[str, Any]]:
    """The naive contract's interface."""
    found: list[dict[str, Any]] = _naive()["abi"]
    return found


def naive_values(number: int) -> dict[str, Any]:
    """One registration: a name, two CIDs of the usual length, two parents."""
    cid = f"bafkrei{keccak(number.to_bytes(8, 'big')).hex()[:52]}"
    parents = [keccak(b"a" + number.to_bytes(8, "big")), keccak(b"b" + number.to_bytes(8, "big"))]
    return {
        "name": f"operator/cell-{number:08d}-rsrp",
        "cid": cid,
        "metadataCid": cid[::-1],
        "parents": parents,
        "size": 65_536,
    }


def naive_call(number: int) -> bytes:
    """The call data of a registration."""
    kinds = ["string", "string", "string", "bytes32[]", "uint256"]
    values = list(naive_values(number).values())
    return keccak(f"register({','.join(kinds)})".encode())[:4] + encode(kinds, values)


def sign(
    link: ChainLink,
    signer: KeySigner,
    to: Address | None,
    data: bytes,
    *,
    nonce: int,
    gas: int,
    value: int = 0,
) -> bytes:
    """One raw transaction."""
    return sign_draft(Draft(link.chain_id, nonce, policy(link), gas, to, value, data), signer)


@cache
def policy(link: ChainLink) -> FeePolicy:
    """How to pay, asked once per chain."""
    return link.fee_policy()


def mined(link: ChainLink, tx_hash: bytes) -> Receipt:
    """Wait for a receipt; a failed transaction would make a figure meaningless."""
    while (receipt := link.receipt(tx_hash)) is None:
        time.sleep(0.001)
    if not receipt.succeeded:
        raise RuntimeError(f"0x{tx_hash.hex()} failed")
    return receipt


def machine() -> str:
    """The size of the machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores, {round(pages / 2**30)} GiB, {platform.machine()}, Python {platform.python_version()}"
    )


def commit() -> str:
    """The commit that was measured; `+` when the work tree differs from it."""
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    changed = subprocess.run(
        ["git", "diff", "--quiet", "HEAD", "--", "registry", "miners", "contracts", "scripts/bench"],
        cwd=ROOT,
        check=False,
    )
    return head.stdout.strip() + ("+" if changed.returncode else "")


def keep(topic: str, command: str, results: Sequence[Result]) -> None:
    """Replace one topic's figures in docs/benchmarks.json and write docs/benchmarks.md anew."""
    held = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    held[topic] = {
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "results": [asdict(result) for result in results],
    }
    RECORD.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(_page(held))


def _page(held: dict[str, Any]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `scripts/bench/run`; do not edit. Each line compares two figures of one run on one",
        "machine, taken in turn. Only the ratio carries over to another machine; *load* is the number of",
        "processes that wanted a core when the topic ended. A topic of `scripts/bench/run --help` that",
        "is missing below has no finished run yet, so nothing is claimed about it.",
        "",
    ]
    for topic, entry in sorted(held.items()):
        lines += [
            f"## {topic}",
            "",
            f"`{entry['command']}` at commit {entry['commit']}; {entry['machine']}; load {entry['load']}.",
            "",
            "| what | measured | against | ratio | target | reached |",
            "|---|---|---|---|---|---|",
        ]
        notes = []
        for raw in entry["results"]:
            result = Result(**raw)
            sign_ = "≤" if result.at_most else "≥"
            lines.append(
                f"| {result.what} | {result.ours} | {result.against} | {result.ratio:.3g} "
                f"| {sign_} {result.target:g} | {'yes' if result.is_reached else '**no**'} |"
            )
            if result.note:
                notes.append(f"- {result.what}: {result.note}")
        lines += ["", *notes, ""] if notes else [""]
    return "\n".join(lines).rstrip() + "\n"


def actor(number: int) -> Address:
    """One of many who act."""
    return address_of(keccak(b"actor %d" % number)[12:])


def log_entry(number: int, signer: int, model: int) -> LogEntry:
    """An accepted submission, as a gateway logs it."""
    return LogEntry(
        "submission_accepted",
        1_700_000_000 + number // 100,
        actor=actor(signer),
        model=f"lab/model-{model}",
        version="0x" + keccak(number.to_bytes(8, "big")).hex(),
        details={"size": 65_536, "fee_class": 0},
    )
