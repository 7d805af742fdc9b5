"""A web3.py provider over kept connections: one question, one answer, nothing in between.

web3's own HTTP provider reads the environment for proxies and builds a session's request at every question,
which was a third of a miner's time. Here both are done once. What a connection does wrong is raised as it
is, and no question is asked twice: whoever asks decides about that.
"""

from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from pydantic_core import from_json
from urllib3.util import make_headers, parse_url
from web3.providers.base import JSONBaseProvider

_MOST_KEPT = 32
_JSON = {"content-type": "application/json", "user-agent": "twinledger"}


class KeptProvider(JSONBaseProvider):
    """JSON-RPC over HTTP to one URL; safe to use from several threads."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__()
        parts = parse_url(url)
        name_and_password = parts.auth
        self._headers = _JSON | make_headers(basic_auth=name_and_password and unquote(name_and_password))
        self._manager = _connections(url, urllib3.Timeout(timeout_s))
        is_direct = self._manager.proxy is None
        # The pool of one place need not be found anew for each question; a proxy is told the whole URL.
        self._connections = self._manager.connection_from_url(url) if is_direct else self._manager
        self._target = parts.request_uri if is_direct else url

    def make_request(self, method: Any, params: Any) -> Any:
        """The JSON-RPC answer, error objects included."""
        question = self.encode_rpc_request(method, params)
        answer = self._connections.urlopen(
            "POST", self._target, body=question, headers=self._headers, retries=False, redirect=False
        )
        if answer.status != 200:
            raise urllib3.exceptions.HTTPError(f"HTTP status {answer.status}")
        return from_json(answer.data)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        self._manager.clear()


def _connections(url: str, timeout: urllib3.Timeout) -> urllib3.PoolManager:
    """Through the proxy that the environment names for this URL, as web3's own provider goes."""
    place = urlsplit(url)
    proxy = getproxies().get(place.scheme)
    if proxy is None or proxy_bypass(place.netloc):
        return urllib3.PoolManager(maxsize=_MOST_KEPT, timeout=timeout)
    return urllib3.ProxyManager(proxy, maxsize=_MOST_KEPT, timeout=timeout)
