"""Who may connect to a node and who may send it a transaction: Besu's permissions file, one copy per node.

Besu checks a sender when a transaction arrives, is gossiped, or is put in a block it proposes. It does not
check blocks that others propose: the contracts stay the authority, and all nodes should hold equal lists.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.core.ids import Address, to_address
from registry.errors import Malformed, NotFound

FILE_NAME = "permissions_config.toml"
_ENODE = re.compile(r"enode://[0-9a-f]{128}@[0-9A-Za-z.\-\[\]:]+:[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Participant:
    """A member as the network sees it: an account that may send, the nodes it runs, its first funds."""

    address: Address
    enodes: tuple[str, ...] = ()
    balance_wei: int = 0

    def __post_init__(self) -> None:
        for enode in self.enodes:
            if _ENODE.fullmatch(enode) is None:
                raise Malformed(f"{enode!r} is no enode URL", hint="enode://128 hex digits@host:port")
        if self.balance_wei < 0:
            raise Malformed(f"the balance of {self.address} is negative: {self.balance_wei}")


def permissions(accounts: Iterable[Address], enodes: Iterable[str]) -> str:
    """The permissions file as TOML; lists are sorted without repeats, so equal members give equal bytes."""
    lists = (
        ("accounts-allowlist", sorted({account.lower() for account in accounts})),
        ("nodes-allowlist", sorted(set(enodes))),
    )
    return "".join(f"{name}={json.dumps(entries)}\n" for name, entries in lists)


def write_allowlists(folder: Path, members: Sequence[Participant]) -> tuple[Path, ...]:
    """Rewrite every validator's list from the members of `Consortium`; operator and validators stay on it.

    A node reads its list when it starts: restart them one by one.
    """
    try:
        network = json.loads((folder / "network.json").read_text())
    except FileNotFoundError as e:
        raise NotFound(f"{folder} holds no network", hint="run `twinledger network init --out DIR`") from e
    accounts = [to_address(network["operator"]), *(member.address for member in members)]
    enodes = [validator["enode"] for validator in network["validators"]]
    enodes += [enode for member in members for enode in member.enodes]
    written = tuple(folder / "validators" / v["name"] / FILE_NAME for v in network["validators"])
    for path in written:
        # Rename is atomic: a node that reloads meanwhile sees the old list or the new one, never half of it.
        part = path.with_suffix(".part")
        part.write_text(permissions(accounts, enodes))
        part.replace(path)
    return written
