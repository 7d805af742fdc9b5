#!/usr/bin/env python3
"""Compile every contract into its committed artifact, or check that the artifacts are current.

    scripts/compile_contracts.py            compile what changed
    scripts/compile_contracts.py --check    compare what the compiler makes of everything byte for byte
    scripts/compile_contracts.py --solc     print the compiler that would be used

Each contract is compiled with only the sources it imports: the optimizer numbers what it sees, so a
neighbour's edit could otherwise change bytecode. Sources go in as text: any build of solc gets the same.
A check runs the compiler once per machine on the same sources: what came out is kept as a digest in the
cache, beside the compiler.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import solcx
from solcx.exceptions import SolcError, SolcNotInstalled
from solcx.install import get_executable

ROOT = Path(__file__).resolve().parent.parent
NPM = ROOT / "scripts" / "devnet" / "solc"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinledger"
PINNED = "0.8.37"
# folder of sources -> folder of artifacts; only files directly in the folder are contracts of their own.
FOLDERS = {
    ROOT / "contracts" / "src": ROOT / "contracts" / "artifacts",
    ROOT / "scripts" / "bench" / "contracts": ROOT / "scripts" / "bench" / "contracts" / "artifacts",
    ROOT / "tests" / "contracts" / "attackers": ROOT / "tests" / "contracts" / "attackers" / "artifacts",
}
SETTINGS: Mapping[str, Any] = {
    "evmVersion": "paris",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
}
OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
IMPORT = re.compile(r"""\bimport\s+(?:[^"';]*?\bfrom\s+)?["']([^"']+)["']""")


def resolve_solc() -> Path:
    """The pinned compiler: $TWINLEDGER_SOLC, a native one, py-solc-x's, or the npm package."""
    if given := os.environ.get("TWINLEDGER_SOLC"):
        return Path(given)
    native = shutil.which("solc")
    if native and PINNED in subprocess.run([native, "--version"], capture_output=True, text=True).stdout:
        return Path(native)
    try:
        return Path(get_executable(PINNED))
    except SolcNotInstalled:
        return npm_solc()


def npm_solc() -> Path:
    """The wrapper around npm's solc, installed from the lock file into the cache when it is missing."""
    cache = CACHE / "solc"
    if not (cache / "node_modules" / "solc" / "package.json").exists():
        if shutil.which("npm") is None:
            raise SystemExit(f"no solc {PINNED}: install one, set TWINLEDGER_SOLC, or install npm")
        cache.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(NPM / name, cache / name)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=cache, check=True)
    return NPM / "solc"


def gather(entry: Path) -> dict[str, str]:
    """The source text of one contract and of all it imports, by path below the contract's folder."""
    sources: dict[str, str] = {}
    waiting = [entry.name]
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        sources[name] = (entry.parent / name).read_text("utf-8")
        folder = posixpath.dirname(name)
        waiting += [
            posixpath.normpath(posixpath.join(folder, path)) for path in IMPORT.findall(sources[name])
        ]
    return dict(sorted(sources.items()))


def source_hash(sources: Mapping[str, str]) -> str:
    """SHA-256 over the sources, the settings and the compiler: equal hashes mean equal bytecode."""
    text = json.dumps([PINNED, SETTINGS, sources], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def compile_contract(entry: Path, solc: Path) -> str | None:
    """The artifact of one file as JSON text, None when it holds no deployable contract."""
    sources = gather(entry)
    standard_input = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {entry.name: {entry.stem: OUTPUTS}}},
    }
    try:
        output = solcx.compile_standard(standard_input, solc_binary=solc)
    except SolcError as error:
        # The exception's own text is the whole compiler output; its messages are what a reader needs.
        found = error.error_dict or []
        raise SystemExit("\n".join(e["formattedMessage"] for e in found) or str(error)[:2000]) from None
    for warning in output.get("errors", []):
        print(warning["formattedMessage"], file=sys.stderr)
    contract = output.get("contracts", {}).get(entry.name, {}).get(entry.stem)
    if contract is None or not contract["evm"]["bytecode"]["object"]:
        return None
    artifact = {
        "abi": contract["abi"],
        "bytecode": contract["evm"]["bytecode"]["object"],
        "compiler": PINNED,
        "runtime": contract["evm"]["deployedBytecode"]["object"],
        "settings": SETTINGS,
        "source_hash": source_hash(sources),
    }
    return json.dumps(artifact, sort_keys=True, indent=1) + "\n"


def is_current(entry: Path, artifact: Path) -> bool:
    """Whether the committed artifact came from exactly these sources and settings."""
    return artifact.exists() and json.loads(artifact.read_text("utf-8"))["source_hash"] == source_hash(
        gather(entry)
    )


def is_reproduced(entry: Path, artifact: Path) -> bool:
    """Whether the compiler makes the committed artifact, byte for byte, of the sources that are there."""
    # The name, because two that import each other have the same sources; this file, because it says what an
    # artifact holds.
    key = hashlib.sha256(Path(__file__).read_bytes() + f"{entry.name} {source_hash(gather(entry))}".encode())
    made = CACHE / "compiled" / key.hexdigest()
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        part = made.with_suffix(f".{os.getpid()}")
        part.write_text(_digest(compile_contract(entry, resolve_solc())), "utf-8")
        part.replace(made)
    committed = artifact.read_text("utf-8") if artifact.exists() else None
    return made.read_text("utf-8") == _digest(committed)


def _digest(artifact: str | None) -> str:
    return "no deployable contract" if artifact is None else hashlib.sha256(artifact.encode()).hexdigest()


def contracts() -> list[tuple[Path, Path]]:
    """Every contract file with the path of its artifact."""
    return [
        (entry, target / f"{entry.stem}.json")
        for folder, target in FOLDERS.items()
        for entry in sorted(folder.glob("*.sol"))
        if "\nabstract contract " + entry.stem not in entry.read_text("utf-8")
    ]


def main() -> int:
    """Compile what changed, or with --check compare everything; 1 when an artifact is stale."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="recompile everything, write nothing, compare")
    parser.add_argument("--solc", action="store_true", help="print the compiler that would be used")
    parser.add_argument("names", nargs="*", help="only these contracts")
    options = parser.parse_args()
    if options.solc:
        print(resolve_solc())
        return 0
    wanted = [found for found in contracts() if not options.names or found[0].stem in options.names]
    if options.check:
        return check(wanted)
    for entry, artifact in wanted:
        if is_current(entry, artifact):
            continue
        text = compile_contract(entry, resolve_solc())
        if text is None:
            continue
        artifact.parent.mkdir(parents=True, exist_ok=True)
        artifact.write_text(text, "utf-8")
        print(f"{entry.stem}: {len(json.loads(text)['runtime']) // 2} bytes of runtime")
    return 0


def check(wanted: Sequence[tuple[Path, Path]]) -> int:
    """1 when an artifact is stale, and which."""
    resolve_solc()  # is installed once, before two ask for it
    with ThreadPoolExecutor(os.cpu_count()) as compilers:
        current = list(compilers.map(lambda found: is_reproduced(*found), wanted))
    stale = [entry.stem for (entry, _), is_same in zip(wanted, current, strict=True) if not is_same]
    if stale:
        print(f"stale artifacts, run scripts/compile_contracts.py: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
