"""Where the gateways and miners of a stack stand: whose they are, and on which backends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import keep_key

GATEWAYS = ("gateway-1", "gateway-2")
MINERS = ("miner-1", "miner-2", "miner-3")
# The organisation of each: three of them, or the first with two gateways.
APART = {"gateway-1": 1, "gateway-2": 2, "miner-1": 1, "miner-2": 2, "miner-3": 3}
TOGETHER = APART | {"gateway-2": 1}
# Few bytes fit in a slot, so that an item can be made to wait; epochs and audits end while the suite runs.
SETTINGS = """\
[fees]
slot_bytes = 4096
slots_per_epoch = 12
post_slots = 5
eta = 1
[storage]
audit_slots = 8
"""


@dataclass(frozen=True)
class Plan:
    """A node and, where there is one, a Kubo daemon for each organisation; a database for some gateways.

    Gateways of one organisation share its daemon, and a database if both have it.
    """

    name: str
    organisations: Mapping[str, int]
    nodes: Sequence[str]
    daemons: Sequence[str]
    dsns: Mapping[str, str]
    settings: str = SETTINGS

    def make_home(self, folder: Path, place: str, key: str, deployment: bytes) -> Path:
        """A home with a key that follows from a label, the deployment, and the settings of its backends."""
        home = folder / place
        keep_key(home, place.partition("-")[0], key)
        (home / "deployment.json").write_bytes(deployment)
        settings = [*self._chain(place), *self._store(place), *self._database(home, place)]
        # A key of no section has to stand before the first one.
        (home / "twinledger.toml").write_text("\n".join(sorted(settings, key=_is_section)) + "\n")
        return home

    def namespace(self, place: str) -> str:
        """Of the organisation that runs it."""
        return f"org-{self.organisations[place]}"

    def _chain(self, place: str) -> list[str]:
        """A lone sealer's block is final; of several sealers' blocks the newest may still change."""
        url = self.nodes[self.organisations[place] - 1]
        confirmations = 0 if len(set(self.nodes)) == 1 else 3
        return ['chain = "rpc"', f'[rpc]\nurl = "{url}"\npoll_s = 0.4\nconfirmations = {confirmations}']

    def _store(self, place: str) -> list[str]:
        daemons = self.daemons[self.organisations[place] - 1 :][:1]
        return ['store = "kubo"', f'[kubo]\napi = ["{daemons[0]}"]'] if daemons else []

    def _database(self, home: Path, place: str) -> list[str]:
        if place not in self.dsns:
            return []
        (home / "dsn").write_text(self.dsns[place])
        return ['database = "postgresql"', '[postgresql]\ndsn_file = "dsn"']


def _is_section(text: str) -> bool:
    return text.startswith("[")
