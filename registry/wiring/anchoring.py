"""Anchors both logs on chain, every so many slots, and deletes openings whose time is over.

The key of this gateway's log is registered before its first anchor: whoever holds a promise of it, or shares
the pool where its promises lie, reads it off the chain. What is anchored is read from the contract each time,
so a restart neither repeats nor forgets an anchor.
"""

import logging
import threading
from contextlib import ExitStack

from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.audit.publisher import AnchorCall, anchor_call, check_anchor
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.sender import Sender
from registry.config import Settings
from registry.core.ids import Role, hex32
from registry.core.note import VerifierKey
from registry.core.signing import Signer
from registry.errors import RegistryError, Rejected, VerificationFailed
from registry.wiring.logs import Logs, now

_log = logging.getLogger("registry.logs")
_LOOK_S = 2.0
_DAY_S = 86_400
_CONTRACT = "AuditAnchor"


class Anchors:
    """One gateway's anchors."""

    def __init__(self, logs: Logs, contracts: Contracts, signer: Signer, settings: Settings) -> None:
        self._logs = logs
        self._contracts = contracts
        self._sender = Sender(contracts.link, signer)
        self._every = settings.log.anchor_slots
        self._days = settings.log.openings_days
        self._is_registered = False

    def check(self) -> None:
        """VerificationFailed when the gateway log is not the one that was anchored: it must be restored."""
        log = self._logs.gateway.log
        root, map_root, size, _time, _by = self._latest(log)
        if size:
            check_anchor(log, size, root, map_root)

    def run(self, stop: threading.Event) -> None:
        """Anchor when it is due until told to stop; a chain that is away is waited for."""
        while not stop.wait(_LOOK_S):
            try:
                self.forget()
                if self._is_admitted():
                    self.register()
                    self.anchor()
            except RegistryError as e:
                _log.warning("the anchors wait: %s", e)

    def register(self) -> None:
        """Tell the consortium the key of this gateway's log, once."""
        if self._is_registered:
            return
        key = VerifierKey.parse(self._logs.gateway.log.verifier_key)
        if self._contracts.log_key(key.name) != key:
            payload = encode_call("Consortium", "registerLogKey", [key.name, key.public])
            try:
                self._sender.send(self._contracts.address("Consortium"), payload)
            except Rejected as e:
                _log.warning("the key of %s is not registered: %s", key.name, e)
        self._is_registered = True

    def anchor(self) -> list[str]:
        """Anchor what is due and has news; answers the origins that were anchored."""
        done = []
        for log in (self._logs.gateway.log, self._logs.chain):
            _root, _map, size, time, _by = self._latest(log)
            call = anchor_call(log, size) if self._is_due(time) and len(log) > size else None
            if call is not None and self._send(call, size):
                done.append(log.origin)
        return done

    def forget(self) -> None:
        """Delete openings older than the settings keep them, of every origin, and say so in the log."""
        before = now() - self._days * _DAY_S
        with ExitStack() as stack:
            aside = [OpeningStore(path) for path in self._logs.openings_aside]
            for store in aside:
                stack.callback(store.close)
            stores = (self._logs.gateway.openings, *aside)
            oldest = min((at for store in stores if (at := store.oldest()) is not None), default=None)
            # Once a day: an entry for every single opening would tell when each was made.
            if oldest is not None and oldest < before - _DAY_S:
                reason = f"kept for {self._days} days"
                self._logs.gateway.forget_before(before, reason=reason, also=aside)

    def _is_admitted(self) -> bool:
        """Whether the council has made this account a gateway."""
        return bool(self._contracts.account(self._sender.address).roles & Role.GATEWAY)

    def _is_due(self, anchored_at: int) -> bool:
        slot = self._contracts.slot_at(self._contracts.link.pending_time())
        return slot - self._contracts.slot_at(anchored_at) >= self._every

    def _latest(self, log: LogStore) -> tuple[bytes, bytes, int, int, str]:
        root, map_root, size, time, by = self._contracts.read(_CONTRACT, "latest", log.origin)
        return root, map_root, size, time, by

    def _send(self, call: AnchorCall, size: int) -> bool:
        args = [call.origin, call.size, call.root, call.map_root, list(call.consistency_proof)]
        payload = encode_call(_CONTRACT, "anchor", args)
        try:
            receipt = self._sender.send(self._contracts.address(_CONTRACT), payload)
        except Rejected as e:
            # Another gateway anchored the chain log meanwhile, or the origin is somebody else's.
            _log.info("%s at %d is not anchored: %s", call.origin, call.size, e)
            return False
        except VerificationFailed as e:
            if e.values.get("anchored") == size:
                raise
            # The proof begins at what was anchored when we looked; somebody has anchored since.
            _log.info("%s at %d is not anchored: %s", call.origin, call.size, e)
            return False
        self._logs.gateway.anchored(origin=call.origin, size=call.size, tx_hash=hex32(receipt.tx_hash))
        return True
