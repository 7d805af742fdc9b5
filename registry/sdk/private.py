"""Private models in the client: seal before hashing, open after verifying, let readers in and out.

The gateway never sees a key. It does say which X25519 key a member has: whoever does not trust it with
that gives `ADDRESS=0x<key>` as it was told by the member, and another answer is refused.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from registry.core.cid import Cid, weights_cid
from registry.core.envelope import (
    Context,
    Window,
    file_key,
    open_stream,
    seal_stream,
    sealed_size,
    unwrap,
    wrap,
    wrap_info,
)
from registry.core.ids import Address, model_id, parse_hex32, to_address
from registry.core.manifest import FileEntry, Manifest
from registry.core.private import ClearFile, PrivateHeader, Wrap, open_index, read_header, seal_index
from registry.core.refs import parse_model
from registry.core.weights import ENCRYPTED
from registry.errors import Conflict, Malformed, NotAuthorized, NotFound, VerificationFailed
from registry.sdk.files import PIECE, LocalFile, pieces_of, read_files, root_of
from registry.sdk.session import Session
from registry.sdk.submitting import Work, read_manifest
from registry.storage.unixfs import import_file
from registry.wire import VersionAnswer, parse_body, version_of
from registry.wire_members import GrantBody, MemberBody

_REGISTER = "run `twinledger key register`, then ask the submitter for `twinledger grant`"


@dataclass(frozen=True, slots=True)
class Opened:
    """A private version whose key this client holds."""

    secret: bytes
    context: Context
    files: Mapping[str, ClearFile]

    def clear(self, path: str) -> ClearFile:
        """What a file is in the clear; NotFound when the version has none of that path."""
        if path not in self.files:
            raise NotFound(f"the version has no file {path!r}", hint="see its manifest")
        return self.files[path]

    def decrypt(self, path: str, source: Path) -> None:
        """Replace the ciphertext at `source` by the file; VerificationFailed leaves the ciphertext there."""
        expected, part = self.clear(path), source.with_name(f".{source.name[:200]}.clear")
        with part.open("wb") as out:
            pieces = open_stream(file_key(self.secret, self.context, path), pieces_of(source))
            stored = import_file(_written(pieces, out.write))
            out.flush()
            os.fsync(out.fileno())
        if (stored.sha256, stored.size) != (expected.sha256, expected.size):
            raise VerificationFailed(f"{path} does not decrypt to what its submitter encrypted")
        part.replace(source)


class Private:
    """Seals, opens and grants for one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def seal(self, work: Work, readers: Sequence[str], folder: Path) -> Work:
        """The same work with every file encrypted into `folder`, under a fresh key wrapped to each reader.

        One is always a reader oneself: whoever cannot read a version cannot grant it either.
        """
        given, files = read_manifest(work.manifest), read_files(work.files)
        if "encryption" in given:
            raise Malformed("a private version's encryption is filled in", hint="leave encryption out")
        model = model_id(self._session.account().namespace_id, parse_model(work.model)[1])
        secret, context = secrets.token_bytes(32), self._context(model, secrets.token_bytes(32))
        sealed = [
            _seal_file(file, secret, context, folder / f"{number}.sealed")
            for number, file in enumerate(files)
        ]
        body = weights_cid(root_of(sealed))
        members = self._readers([str(self._session.signer().address), *readers])
        clear = [
            ClearFile(file.entry.path, file.entry.size, file.entry.sha256, file.entry.format)
            for file in files
        ]
        header = PrivateHeader(
            salt=context.salt,
            index=seal_index(secret, context, clear),
            wraps=tuple(_wrap_for(secret, context, body, member) for member in members),
        )
        return replace(work, files=sealed, manifest={**given, "encryption": header.document()})

    def opened(self, version: VersionAnswer, manifest: Manifest) -> Opened | None:
        """A version's key and its files in the clear; None for a public one, NotAuthorized without a key."""
        header = read_header(manifest.fields.encryption)
        if header is None:
            return None
        struct = version_of(version.version)
        context = self._context(model_id(struct.namespace_id, manifest.name), header.salt)
        secret = self._secret(version, context, weights_cid(struct.weights_root))
        files = open_index(secret, context, header.index)
        _check_files(manifest.files, files)
        return Opened(secret, context, files)

    def read(self, opened: Opened, entry: FileEntry, offset: int, length: int) -> bytes:
        """A range of a file in the clear, from its frames alone."""
        window = Window(opened.clear(entry.path).size, offset, length)
        start, count = window.sealed
        if not count:
            return b""
        with self._session.http.stream(f"/v1/content/{entry.cid}", offset=start) as response:
            sealed = bytearray()
            while len(sealed) < count and (piece := response.read(min(PIECE, count - len(sealed)))):
                sealed += piece
        return window.open(file_key(opened.secret, opened.context, entry.path), bytes(sealed))

    def grant(self, version: VersionAnswer, manifest: Manifest, reader: str) -> str:
        """Wrap the version's key to one more reader and say so on chain; answers the transaction's hash."""
        opened = self.opened(version, manifest)
        if opened is None:
            raise _is_public(version)
        body = weights_cid(version_of(version.version).weights_root)
        given = _wrap_for(opened.secret, opened.context, body, self._readers([reader])[0])
        args = [parse_hex32(version.version_id), given.reader, given.key_version, given.wrapped_key]
        return self._session.transact(_path(version), "Consortium", "grant", args)

    def ungrant(self, version: VersionAnswer, manifest: Manifest, reader: str) -> str:
        """Say on chain that a reader is no longer meant to read a version; its submitter always is."""
        address = to_address(reader)
        if read_header(manifest.fields.encryption) is None:
            raise _is_public(version)
        if address == to_address(version.version.submitter):
            # Without its key nobody could grant the version again.
            raise Conflict(f"{address} submitted {version.model} v{version.number} and always reads it")
        args = [parse_hex32(version.version_id), address]
        return self._session.transact(_path(version), "Consortium", "ungrant", args)

    def grants(self, version: VersionAnswer) -> list[GrantBody]:
        """Who is meant to read a version."""
        return [parse_body(GrantBody, item) for item in self._session.http.items(_path(version))]

    def _context(self, model: bytes, salt: bytes) -> Context:
        domain = self._session.domain()
        return Context(domain.chain_id, domain.contract, model, salt)

    def _secret(self, version: VersionAnswer, context: Context, body: Cid) -> bytes:
        own = self._session.signer().address
        mine = [grant for grant in self.grants(version) if grant.reader == own]
        name = f"{version.model} v{version.number}"
        if not mine:
            raise NotAuthorized(f"{name} is private, and {own} is not one of its readers", hint=_REGISTER)
        grant = mine[0]
        wrapped, info = bytes.fromhex(grant.wrapped_key[2:]), wrap_info(context, body, own, grant.key_version)
        for secret in self._session.x25519_secrets():
            try:
                return unwrap(wrapped, secret, info)
            except VerificationFailed:
                continue  # a secret of another time
        raise NotAuthorized(
            f"{name} was granted to key {grant.key_version} of {own}, and its secret is not in HOME/keys",
            hint=f"bring the .x25519 file of that key, or {_REGISTER}",
        )

    def _readers(self, readers: Iterable[str]) -> list[MemberBody]:
        items = self._session.http.items("/v1/members")
        members = {member.address: member for member in (parse_body(MemberBody, item) for item in items)}
        chosen: dict[Address, MemberBody] = {}
        for text in readers:
            address, _, pinned = text.partition("=")
            reader = to_address(address)
            member = members.get(reader)
            if member is None or member.x25519 is None or not member.roles:
                raise NotFound(
                    f"{reader} has no X25519 key to encrypt to", hint="it runs `twinledger key register`"
                )
            if pinned and parse_hex32(pinned.lower()) != parse_hex32(member.x25519):
                raise VerificationFailed(f"the gateway says that {reader} has the key {member.x25519}")
            chosen[reader] = member
        return list(chosen.values())


def _is_public(version: VersionAnswer) -> Conflict:
    return Conflict(f"{version.model} v{version.number} is not private: everybody may read it")


def _wrap_for(secret: bytes, context: Context, body: Cid, member: MemberBody) -> Wrap:
    if member.x25519 is None:
        raise Malformed(f"{member.address} has no X25519 key")
    reader = to_address(member.address)
    info = wrap_info(context, body, reader, member.key_version)
    return Wrap(reader, member.key_version, wrap(secret, parse_hex32(member.x25519), info))


def _seal_file(file: LocalFile, secret: bytes, context: Context, target: Path) -> LocalFile:
    hashed = hashlib.sha256()
    with target.open("wb") as out:
        clear = _written(pieces_of(file.source), hashed.update)
        stored = import_file(
            _written(seal_stream(file_key(secret, context, file.entry.path), clear), out.write)
        )
    if hashed.digest() != file.entry.sha256:
        raise Conflict(f"{file.source} changed while it was encrypted", hint="submit it again")
    entry = FileEntry(
        path=file.entry.path, cid=stored.cid, sha256=stored.sha256, size=stored.size, format=ENCRYPTED
    )
    return LocalFile(target, entry, stored)


def _written(pieces: Iterable[bytes], write: Callable[[bytes], object]) -> Iterator[bytes]:
    for piece in pieces:
        write(piece)
        yield piece


def _check_files(entries: Sequence[FileEntry], files: Mapping[str, ClearFile]) -> None:
    sizes = {entry.path: entry.size for entry in entries}
    if sizes != {path: sealed_size(file.size) for path, file in files.items()}:
        raise VerificationFailed("the sealed index and the manifest name different files")


def _path(version: VersionAnswer) -> str:
    return f"/v1/versions/{version.version_id}/grants"
