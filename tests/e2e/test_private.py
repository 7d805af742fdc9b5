"""Private models: encrypted in the client, read by those it was wrapped to, and by nobody else."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.cli.app import run
from registry.core.envelope import FRAME, SEGMENT, sealed_size
from registry.core.ids import keccak, sha256
from registry.core.signing import KeySigner
from registry.errors import Conflict, Malformed, NotAuthorized, NotFound, VerificationFailed
from registry.keystore import new_x25519, next_x25519
from registry.sdk import Client, Receipt

MANIFEST = {"description": "a cell that is nobody else's business"}


def until(found: Callable[[], object]) -> None:
    """Wait for the projection to follow a transaction."""
    for _ in range(600):
        if found():
            return
        time.sleep(0.05)
    raise AssertionError("the chain never said so")


def join(client: Client, name: str, home: Path) -> Client:
    """A new member of its own home, with an X25519 key."""
    signer = KeySigner(keccak(name.encode()))
    client.members.add(signer.address, name, ["submitter", "auditor"])
    until(lambda: signer.address in {member.address for member in client.members.all()})
    member = Client(url=client.http.url, key=signer, home=home)
    member.members.register_key(new_x25519(next_x25519(home / "keys", signer.address)))
    until(lambda: key_version(client, signer.address) == 1)
    return member


def key_version(client: Client, address: str) -> int:
    return next((m.key_version for m in client.members.all() if m.address == address), 0)


@pytest.fixture(scope="module")
def people(live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client, Client]]:
    """The development member, a reader and a stranger."""
    folder = tmp_path_factory.mktemp("people")
    with live.client() as client:
        names = ("reader", "stranger")
        reader, stranger = (join(client, name, folder / name) for name in names)
        with reader, stranger:
            yield client, reader, stranger


def submitted(client: Client, model: str, path: Path, readers: list[str]) -> Receipt:
    receipt = client.submit(model, [path], MANIFEST, private_to=readers)
    assert isinstance(receipt, Receipt)
    return receipt


def readers_of(client: Client, ref: str) -> set[str]:
    return {grant.reader for grant in client.grants(ref)}


def test_a_private_version_comes_back_to_its_readers_and_to_nobody_else(people, weights, tmp_path) -> None:
    client, reader, stranger = people
    submitted(client, "local/secret", weights, [reader.address])
    assert readers_of(client, "local/secret") == {client.address, reader.address}
    for number, one in enumerate((client, reader)):
        found = one.retrieve("local/secret", to=tmp_path / str(number))
        assert (found.path / weights.name).read_bytes() == weights.read_bytes()
    with pytest.raises(NotAuthorized, match="private") as refused:
        stranger.retrieve("local/secret", to=tmp_path / "no")
    assert refused.value.hint
    assert not (tmp_path / "no").exists()


def test_what_the_gateway_holds_is_ciphertext_and_anyone_may_verify_it(people, weights) -> None:
    client, _, stranger = people
    submitted(client, "local/held", weights, [client.address])
    (file,) = client.version("local/held").manifest["files"]
    assert file["format"] == "encrypted"
    assert file["size"] == sealed_size(weights.stat().st_size)
    with client.http.stream(f"/v1/content/{file['cid']}") as response:
        assert weights.read_bytes()[:64] not in response.read()
    assert sha256(weights.read_bytes()).hex() not in json.dumps(client.version("local/held").manifest)
    assert stranger.verify("local/held")["status"] == "active"


def test_a_grant_adds_a_reader_and_changes_no_cid(people, weights, tmp_path) -> None:
    client, reader, stranger = people
    submitted(client, "local/granted", weights, [client.address])
    before = client.version("local/granted")
    with pytest.raises(NotAuthorized):
        reader.retrieve("local/granted", to=tmp_path / "no")
    client.grant("local/granted", reader.address)
    until(lambda: reader.address in readers_of(client, "local/granted"))
    assert client.version("local/granted") == before
    found = reader.retrieve("local/granted", to=tmp_path / "yes")
    assert (found.path / weights.name).read_bytes() == weights.read_bytes()
    assert readers_of(stranger, "local/granted") == {client.address, reader.address}


def test_the_submitter_cannot_take_itself_out_of_the_readers(people, weights) -> None:
    client, reader, _ = people
    submitted(client, "local/kept", weights, [reader.address])
    with pytest.raises(Conflict, match="always reads it"):
        client.ungrant("local/kept", client.address.lower())
    assert client.address in readers_of(client, "local/kept")


def test_nobody_is_taken_out_of_the_readers_of_a_public_version(people, weights) -> None:
    client, reader, _ = people
    client.submit("local/public", [weights], MANIFEST)
    for act in (client.grant, client.ungrant):
        with pytest.raises(Conflict, match="everybody may read it"):
            act("local/public", reader.address)


def test_an_ungranted_reader_is_refused_by_its_own_client(people, weights, tmp_path) -> None:
    client, reader, _ = people
    submitted(client, "local/taken", weights, [reader.address])
    client.ungrant("local/taken", reader.address)
    until(lambda: reader.address not in readers_of(client, "local/taken"))
    with pytest.raises(NotAuthorized):
        reader.retrieve("local/taken", to=tmp_path / "no")


def test_only_the_submitter_grants(people, weights) -> None:
    client, reader, stranger = people
    submitted(client, "local/own", weights, [reader.address])
    with pytest.raises(NotAuthorized):
        reader.grant("local/own", stranger.address)
    with pytest.raises(NotAuthorized):
        stranger.grant("local/own", stranger.address)
    assert stranger.address not in readers_of(client, "local/own")


def test_after_a_new_key_old_grants_still_open_and_new_ones_name_the_new_key(
    people, weights, tmp_path
) -> None:
    client, reader, _ = people
    submitted(client, "local/rotated", weights, [reader.address])
    home = Path(reader._session._settings.keys)
    version = key_version(client, reader.address)
    reader.members.register_key(new_x25519(next_x25519(home, reader.address)))
    until(lambda: key_version(client, reader.address) == version + 1)
    reader.retrieve("local/rotated", to=tmp_path / "old")
    client.grant("local/rotated", reader.address)
    until(lambda: version + 1 in {grant.key_version for grant in client.grants("local/rotated")})
    reader.retrieve("local/rotated", to=tmp_path / "new")


def test_a_reader_without_its_secret_is_told_which_key_it_lacks(people, live, weights, tmp_path) -> None:
    client, _, _ = people
    submitted(client, "local/lost", weights, [client.address])
    elsewhere = Client(url=live.url, key=client._session.signer(), home=tmp_path / "elsewhere")
    with elsewhere, pytest.raises(NotAuthorized, match="key 1 of"):
        elsewhere.retrieve("local/lost", to=tmp_path / "no")


def test_a_pinned_key_catches_a_gateway_that_says_another(people, weights) -> None:
    client, reader, _ = people
    with pytest.raises(VerificationFailed, match="the gateway says"):
        submitted(client, "local/pinned", weights, [f"{reader.address}=0x{'11' * 32}"])
    key = next(member.x25519 for member in client.members.all() if member.address == reader.address)
    submitted(client, "local/pinned", weights, [f"{reader.address}={key}"])


def test_nothing_is_encrypted_to_one_without_a_key(people, live, weights) -> None:
    client = people[0]
    with pytest.raises(NotFound, match="no X25519 key"):
        submitted(client, "local/keyless", weights, [live.running.keys.gateway.address])
    with pytest.raises(Malformed, match="filled in"):
        client.submit("local/keyless", [weights], {"encryption": None}, private_to=[client.address])


def test_a_range_is_read_from_its_frames_alone(people, tmp_path) -> None:
    client, reader, _ = people
    file = tmp_path / "big.bin"
    file.write_bytes(bytes(range(251)) * (2 * SEGMENT // 251) + b"the end")
    submitted(client, "local/ranges", file, [reader.address])
    clear = file.read_bytes()
    for offset, length in ((0, 5), (SEGMENT - 3, 7), (len(clear) - 7, 100), (FRAME, 0)):
        found = reader.read_private("local/ranges", "big.bin", offset, length)
        assert found == clear[offset : offset + length]
    with pytest.raises(Malformed):
        reader.read_private("local/ranges", "big.bin", len(clear) + 1, 1)
    with pytest.raises(NotFound):
        reader.read_private("local/ranges", "no.bin", 0, 1)
    found = reader.retrieve("local/ranges", to=tmp_path / "out")
    assert (found.path / "big.bin").read_bytes() == clear


def test_a_public_version_has_no_readers_to_change(people, weights) -> None:
    client, reader, _ = people
    client.submit("local/open", [weights], MANIFEST)
    assert client.grants("local/open") == []
    with pytest.raises(Conflict, match="not private"):
        client.grant("local/open", reader.address)


def test_the_same_on_the_command_line(people, live, weights, tmp_path, capsys) -> None:
    client, reader, _ = people
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(MANIFEST))

    def typed(*words: str) -> str:
        assert run([*words, "--home", str(live.home.root)]) == 0
        return capsys.readouterr().out

    typed("submit", "local/typed", str(weights), "--manifest", str(manifest), "--private-to", client.address)
    typed("grant", "local/typed", reader.address)
    until(lambda: reader.address in typed("show", "local/typed"))
    typed("ungrant", "local/typed", reader.address)
    until(lambda: reader.address not in typed("show", "local/typed"))
    typed("retrieve", "local/typed", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / weights.name).read_bytes() == weights.read_bytes()
