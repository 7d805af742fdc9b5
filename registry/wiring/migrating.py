"""`twinledger store migrate`: every pin and its content into the other store, verified on both sides."""

from collections.abc import Callable
from dataclasses import replace

from registry.config import EmbeddedStore, Home, KuboStore, Settings
from registry.errors import Malformed, Unavailable
from registry.keystore import keystore_info
from registry.storage.base import ContentStore
from registry.storage.migrate import migrate, unmoved
from registry.wiring.backends import open_store


def migrate_store(
    home: Home, settings: Settings, *, to: str, api: str | None, step: Callable[[int], None]
) -> int:
    """Copy what the target lacks and answer how many pins were brought over; run it again to go on.

    The source keeps everything. An embedded store belongs to one process, so its service is stopped first;
    between Kubo daemons it may go on.
    """
    target_settings = replace(settings, store=_target(settings, to, api))
    if target_settings.store == settings.store:
        raise Malformed(
            f"the store of this home is that {to} store already", hint="see `twinledger config show`"
        )
    owner = _owner(home, settings)
    source = open_store(settings, home.store, owner=owner)
    try:
        target = open_store(target_settings, home.store, owner=owner)
        try:
            return _copy(source, target, step)
        finally:
            target.close()
    finally:
        source.close()


def _copy(source: ContentStore, target: ContentStore, step: Callable[[int], None]) -> int:
    count = 0
    for _moved in migrate(source, target):
        count += 1
        step(1)
    missing = unmoved(source, target)
    if missing:
        raise Unavailable(
            f"{len(missing)} pins are not in the target yet, the first is {missing[0].cid}",
            hint="run the same command again",
        )
    return count


def _target(settings: Settings, to: str, api: str | None) -> EmbeddedStore | KuboStore:
    if to == "embedded":
        return EmbeddedStore()
    if to != "kubo":
        raise Malformed(f"--to is {to!r}, not embedded or kubo")
    known = settings.store if isinstance(settings.store, KuboStore) else KuboStore()
    return known if api is None else replace(known, api=tuple(part.strip() for part in api.split(",")))


def _owner(home: Home, settings: Settings) -> str:
    """Whose pins they will be: the gateway's, as `serve` looks for them."""
    return str(keystore_info(settings.gateway.key_file or home.keys / "gateway.json").address)
