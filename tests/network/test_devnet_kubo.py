"""scripts/devnet/kubo: two daemons in a private swarm, each reading what the other was given."""

import json
import secrets
import stat
from pathlib import Path

import ipfshttpclient
import pytest
import requests

PROFILE = {"cid_version": 1, "raw_leaves": True, "chunker": "size-1048576", "opts": {"max-file-links": 1024}}


@pytest.fixture(scope="module")
def kubo(engine):
    return engine("kubo", "data")


@pytest.fixture
def clients(kubo):
    env = kubo.start()
    # Client() itself, not connect(): the latter refuses every daemon younger than 2021.
    daemons = env["TWINLEDGER_KUBO_API"].split(",")
    both = [ipfshttpclient.Client(daemon, timeout=60) for daemon in daemons]
    yield both
    for client in both:
        client.close()


def add(client, content, folder):
    path = folder / "weights"
    path.write_bytes(content)
    return client.add(path, **PROFILE)["Hash"]


def test_what_one_daemon_adds_the_other_reads(clients, tmp_path):
    content = secrets.token_bytes(3 * 2**20 + 17)
    cid = add(clients[0], content, tmp_path)
    assert clients[1].cat(cid) == content


def test_the_profile_gives_the_published_cid_of_a_small_file(clients, tmp_path):
    cid = add(clients[0], b"hello world", tmp_path)
    assert cid == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


def test_each_daemon_has_the_other_as_its_only_peer(clients):
    ids = [client.id()["ID"] for client in clients]
    assert [peer["Peer"] for peer in clients[0].swarm.peers()["Peers"]] == [ids[1]]
    assert [peer["Peer"] for peer in clients[1].swarm.peers()["Peers"]] == [ids[0]]


def test_the_swarm_is_closed_to_the_world(kubo, clients):
    for node in (kubo.folder / "repo1", kubo.folder / "repo2"):
        config = json.loads((node / "config").read_text())
        assert config["Bootstrap"] == []
        assert config["Routing"]["Type"] == "none"
        assert config["AutoConf"]["Enabled"] is False
        assert all(address.startswith("/ip4/127.0.0.1/") for address in config["Addresses"]["Swarm"])
        assert stat.S_IMODE((node / "swarm.key").stat().st_mode) == 0o600
    assert "Swarm is limited to private network" in (kubo.folder / "1.log").read_text()


def test_a_killed_daemon_comes_back_with_its_content_and_its_peer(kubo, clients, tmp_path, eventually):
    content = secrets.token_bytes(100_000)
    cid = add(clients[1], content, tmp_path)
    kubo.stop("--node", "2", "--kill")
    assert kubo.run("health").returncode == 1
    kubo.start("--node", "2")
    eventually(lambda: kubo.run("health").returncode == 0)
    assert clients[0].cat(cid) == content


def test_a_daemon_with_a_token_refuses_who_has_none(engine):
    closed = engine("kubo", "closed")
    env = closed.start("--token")
    port = env["TWINLEDGER_KUBO_API"].split(",")[0].rpartition("/")[2]
    url = f"http://127.0.0.1:{port}/api/v0/id"
    token = Path(env["TWINLEDGER_KUBO_TOKEN_FILE"]).read_text()
    assert requests.post(url, timeout=60).status_code == 403
    assert requests.post(url, headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code == 200
