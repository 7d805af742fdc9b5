"""A real Chromium, driven over its DevTools protocol: what a person sees, and what a page tries to do."""

import json
import os
import re
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

# Read before the fixture that hides what is set outside.
PROGRAM = os.environ.get("TWINLEDGER_CHROMIUM", "")
_PATIENCE_S = 60
_SAID = re.compile(r"DevTools listening on (ws://\S+)")


class Page:
    """One tab; `requests` are the addresses that it asked for since it was opened."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._number = 0
        self._session: str | None = None
        self._is_loaded = False
        self.requests: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self._ask(f"{domain}.enable")

    def open(self, url: str, width: int = 1280) -> None:
        """Go there, and wait until everything that the page asked for has come or failed."""
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
        )
        self.requests.clear()
        self._is_loaded = False
        failed = self._ask("Page.navigate", url=url).get("errorText")
        assert failed in (None, "net::ERR_ABORTED"), (
            f"{url}: {failed}"
        )  # a download leaves the page as it was
        while failed is None and not self._is_loaded:
            self._hear()

    def value(self, expression: str) -> Any:
        """What a line of JavaScript, written by the test, answers in the page."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def shows_in_a_frame(self, url: str) -> bool:
        """Whether the page that is open may frame this address."""
        self.value(
            "new Promise(done => { const frame = document.createElement('iframe');"
            f" frame.onload = done; frame.src = {json.dumps(url)}; document.body.append(frame); }})"
            ".then(() => true)"
        )
        frames = self._ask("Page.getFrameTree")["frameTree"]["childFrames"]
        return "unreachableUrl" not in frames[-1]["frame"]

    def picture(self) -> bytes:
        """The page as it is seen, as a PNG."""
        return b64decode(self._ask("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        said = {"id": self._number, "method": method, "params": parameters}
        self._line.send(json.dumps(said | ({"sessionId": self._session} if self._session else {})))
        while (heard := self._hear()).get("id") != self._number:
            pass
        assert "error" not in heard, f"{method}: {heard['error']}"
        return heard["result"]

    def _hear(self) -> dict[str, Any]:
        heard = {"method": ""} | json.loads(self._line.recv(_PATIENCE_S))
        if heard["method"] == "Network.requestWillBeSent":
            self.requests.append(heard["params"]["request"]["url"])
        self._is_loaded |= heard["method"] == "Page.loadEventFired"
        return heard


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A page in a browser of its own, which keeps what it must in the folder."""
    if not PROGRAM:
        assert os.environ.get("CI") != "true", "TWINLEDGER_CHROMIUM names no browser"
        pytest.skip("chromium: TWINLEDGER_CHROMIUM names no browser (scripts/devnet/chromium install)")
    # Its sandbox cannot be made by root; the pages are the test's own.
    rooted = ["--no-sandbox"] if os.geteuid() == 0 else []
    words = ["--remote-debugging-port=0", f"--user-data-dir={folder}", "--disable-gpu", "--no-first-run"]
    log = folder / "said"
    folder.mkdir()
    with log.open("w") as told:
        process = subprocess.Popen([PROGRAM, *rooted, *words], stderr=told)
    try:
        until = time.monotonic() + _PATIENCE_S
        while (said := _SAID.search(log.read_text())) is None:
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        with connect(said[1], max_size=None) as line:
            yield Page(line)
    finally:
        process.kill()
        process.wait()
