"""`twinledger doctor` and `audit fsck`: does everything in this home still agree?

With its service down, everything is read; with the service up, what that process holds for itself (the
embedded chain, the embedded store) is asked of it over REST instead. Nothing is repaired or changed, and no
check ends at its first finding.
"""

import http
import http.client
import json
import ssl
import stat
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from registry.audit.logstore import is_grown
from registry.chain.base import ChainLink
from registry.chain.deployment import Deployment, parse_deployment, verify_deployment
from registry.chain.filecheck import CHAIN_FILE
from registry.config import EmbeddedChain, Home, Settings
from registry.errors import Conflict, NotFound, RegistryError, Unauthenticated
from registry.wiring.agreement import Agreement, Check
from registry.wiring.backends import deployment_file, find_deployment, open_chain
from registry.wiring.origins import GATEWAY

_ANSWER_S = 10.0
# Longer than a gateway waits before it looks for missing content again.
_UNDER_WAY_S = 6
_LOOKS = 3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Options(Protocol):
    """Of a command's global options, the one that says where the service is."""

    @property
    def url(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what was found."""

    part: str
    result: str
    is_wrong: bool = False


def examine(
    home: Home, settings: Settings, options: Options, *, signatures: int | None = None
) -> list[Finding]:
    """Every check that this home allows, in the order in which one rests on another.

    With `signatures` those under older checkpoints than a log's newest so many are taken as they are.
    """
    service = Service.of(home, options.url)
    findings = [*_files(home), Finding("settings", "can be used"), *_service(home, service)]
    if not deployment_file(settings, home).exists():
        return [*findings, Finding("chain", "this home has no deployment: nothing more to compare")]
    with ExitStack() as stack:
        try:
            deployment = find_deployment(settings, home)
            link = _open(home, settings, deployment, stack)
        except RegistryError as e:
            return [*findings, Finding("chain", e.message, is_wrong=True)]
        findings += _chain(link, deployment, service)
        agreement = Agreement(
            home,
            settings,
            deployment,
            link,
            service.is_held if service else None,
            signatures=signatures,
        )
        look = _standing if agreement.is_running else _told
        for part, check in agreement.checks(stack):
            findings += look(part, check)
    return findings


class Service:
    """A running service, asked without a signature: what any scrape may ask."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def of(cls, home: Home, url: str | None) -> "Service | None":
        """The service of the command line, else of client.toml, if it answers."""
        found = url or _written_url(home.client)
        if found is None:
            return None
        service = cls(found)
        try:
            service.get("/healthz")
        except (OSError, http.client.HTTPException):
            return None
        return service

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Status and body; OSError when nobody answers."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=_ANSWER_S, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
        )
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """The document at a path; its own problem when it refuses."""
        return json.loads(self.get(path)[1])

    def is_held(self, cid: str) -> bool:
        """Whether the service says that it holds a DAG whole; Unauthenticated when it will not say."""
        try:
            status, _ = self.get(f"/ipfs/{cid}?format=car", "HEAD")
        except (OSError, http.client.HTTPException):
            return False
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise Unauthenticated(f"{self.url} tells only members", hint="stop the service, and look again")
        return status == 200


def _written_url(client: Path) -> str | None:
    try:
        return str(tomllib.loads(client.read_text())["url"])
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return None


def _files(home: Home) -> Iterator[Finding]:
    if not home.root.is_dir():
        yield Finding("files", f"{home.root} does not exist", is_wrong=True)
        return
    private = [home.client, *home.keys.glob("*")]
    exposed = [path for path in private if path.exists() and path.stat().st_mode & _OTHERS]
    for path in exposed:
        yield Finding("files", f"{path} can be read by others: chmod 600 {path}", is_wrong=True)
    if not exposed:
        yield Finding("files", f"{home.root}: its keys are its owner's alone")


def _service(home: Home, service: Service | None) -> Iterator[Finding]:
    if service is None:
        is_at_work = is_grown(home.log / GATEWAY)
        yield Finding("service", "runs; --url URL asks it too" if is_at_work else "is not running")
        return
    try:
        causes = service.json("/readyz")["causes"]
    except (OSError, http.client.HTTPException, ValueError, KeyError) as e:
        yield Finding("service", f"{service.url} gives no account of itself: {e}", is_wrong=True)
        return
    for cause in causes:
        yield Finding("service", f"{service.url} is not ready: {cause}", is_wrong=True)
    if not causes:
        yield Finding("service", f"{service.url} is ready")


def _open(home: Home, settings: Settings, deployment: Deployment, stack: ExitStack) -> ChainLink | None:
    """The chain, or None where the running service holds it for itself.

    A chain that is gone is not made anew: whoever looks changes nothing.
    """
    if isinstance(settings.chain, EmbeddedChain) and not (file := home.chain / CHAIN_FILE).exists():
        raise NotFound(f"the chain's file {file} is missing", hint="restore the backup")
    try:
        link = open_chain(settings, home, deployment)
    except Conflict:
        return None
    stack.callback(link.close)
    return link


def _chain(link: ChainLink | None, deployment: Deployment, service: Service | None) -> Iterator[Finding]:
    try:
        if link is not None:
            verify_deployment(link, deployment)
            number = link.head().number
            yield Finding("chain", f"block {number}: genesis and the code of all contracts are as deployed")
        elif service is None:
            yield Finding("chain", "is held by another process, whose service does not answer", is_wrong=True)
        elif parse_deployment(service.json("/v1/deployment")) == deployment:
            yield Finding("chain", "is held by the service, which names the same genesis and code")
        else:
            yield Finding("chain", f"{service.url} serves another deployment", is_wrong=True)
    except RegistryError as e:
        yield Finding("chain", e.message, is_wrong=True)
    except (OSError, http.client.HTTPException, ValueError) as e:
        yield Finding("chain", f"the service does not say what it serves: {e}", is_wrong=True)


def _standing(part: str, check: Check) -> list[Finding]:
    """What a service at work has not finished yet is no difference: only what stands for a while is told.

    Content that was sealed through another gateway, for one, is pinned here a little later.
    """
    found = list(_told(part, check))
    for _ in range(_LOOKS - 1):
        if not any(finding.is_wrong for finding in found):
            break
        time.sleep(_UNDER_WAY_S)
        again = list(_told(part, check))
        found = [finding for finding in again if finding in found or not finding.is_wrong]
    return found or [Finding(part, "what was under way when it was looked at is done")]


def _told(part: str, check: Check) -> Iterator[Finding]:
    """A check yields what is wrong, and returns what it looked at when nothing is."""
    wrong = False
    differences = check()
    while True:
        try:
            yield Finding(part, next(differences), is_wrong=True)
            wrong = True
        except StopIteration as end:
            if not wrong:
                yield Finding(part, str(end.value))
            return
        except NotFound as e:
            yield Finding(part, e.message, is_wrong=True)
            return
        except RegistryError as e:
            yield Finding(part, f"cannot be checked: {e.message}", is_wrong=True)
            return
