"""What an operator types, run as processes: up, serve, deploy, doctor, backup, restore, migrate, miner."""

import http.client
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from processes import Done, engines, keep_key, running, self_signed, succeed, twinledger
from safetensors.numpy import save_file
from stacks import command

GOLDEN = Path(__file__).parents[1] / "vectors" / "data" / "mechanisms_golden.json"
HISTORY = json.loads(GOLDEN.read_text())["fwt_ledger"][0]


def submit(home: Path, name: str, seed: int, *more: object) -> dict[str, object]:
    folder = home.parent
    weights = folder / f"{name}.safetensors"
    save_file({"w": np.random.default_rng(seed).normal(size=(8, 8)).astype("float32")}, weights)
    manifest = folder / "manifest.json"
    manifest.write_text('{"description": "a twin"}')
    found: dict[str, object] = succeed(
        "submit", f"local/{name}", weights, "--manifest", manifest, *more, home=home
    )
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which one version is sealed, and whose service has stopped. Not to be changed: copy it."""
    home = tmp_path_factory.mktemp("operator") / "home"
    with running("up", "--port", 0, home=home) as up:
        up.wait_for(r"is up at (http\S+)")
        submit(home, "kept", 1)
        assert up.stop() == 0
    return home


@pytest.fixture
def home(base: Path, tmp_path: Path) -> Path:
    """A copy of that home."""
    return Path(shutil.copytree(base, tmp_path / "home"))


def findings(done: Done) -> dict[str, str]:
    return {finding["part"]: finding["result"] for finding in done.json}


def test_the_doctor_finds_nothing_wrong_in_a_home_that_was_stopped(home: Path) -> None:
    done = twinledger("doctor", "--json", home=home)
    assert done.code == 0, done.out
    found = findings(done)
    assert found["service"] == "is not running"
    assert "every block of every pack" in found["store"]
    assert found["pool"] == "1 sealed"
    parts = {"files", "settings", "service", "chain", "chain database", "projection", "pool", "store", "logs"}
    assert set(found) == parts


def test_the_doctor_works_while_the_service_runs_and_after_it(home: Path) -> None:
    with running("up", "--port", 0, home=home) as up:
        up.wait_for(r"is up at (http\S+)")
        done = twinledger("doctor", "--json", home=home)
        assert done.code == 0, done.out
        assert "is ready" in findings(done)["service"]
        assert "by the service's word" in findings(done)["store"]


def test_the_doctor_names_what_is_wrong_while_the_service_runs(home: Path) -> None:
    with running("up", "--port", 0, home=home) as up:
        up.wait_for(r"is up at (http\S+)")
        with closing(sqlite3.connect(home / "pool.db")) as pool:
            pool.execute("UPDATE submissions SET model = 'local/another'")
            pool.commit()
        done = twinledger("doctor", "--json", home=home)
    assert done.code == 5
    wrong = [one for one in done.json if one["wrong"]]
    assert {one["part"] for one in wrong} == {"pool"}
    assert any("the model says local/another" in one["result"] for one in wrong)


def test_the_doctor_calls_nothing_lost_that_only_members_are_shown(home: Path) -> None:
    (home / "twinledger.toml").write_text('[access]\ncontent = "members"\n')
    with running("up", "--port", 0, home=home) as up:
        up.wait_for(r"is up at (http\S+)")
        done = twinledger("audit", "fsck", "--json", home=home)
        assert done.code == 0, done.out
        assert "tells only members what it holds" in findings(done)["store"]


def test_the_doctor_names_a_byte_that_rotted_in_a_pack(home: Path) -> None:
    pack = max((home / "store" / "packs").glob("*.car"), key=lambda path: path.stat().st_size)
    raw = bytearray(pack.read_bytes())
    raw[-40] ^= 1
    pack.write_bytes(raw)
    done = twinledger("doctor", "--json", home=home)
    assert done.code == 5
    named = {pack.name in one["result"] for one in done.json if one["wrong"]}
    assert named == {True}
    table = [line for line in twinledger("doctor", home=home).out.splitlines() if pack.name in line]
    assert {tuple(line.split()[:2]) for line in table} == {("WRONG", "store")}


def test_the_doctor_names_a_projection_and_a_pool_that_left_the_chain(home: Path) -> None:
    with closing(sqlite3.connect(home / "index.db")) as index:
        index.execute("UPDATE versions SET size = size + 1")
        index.commit()
    with closing(sqlite3.connect(home / "pool.db")) as pool:
        pool.execute("UPDATE submissions SET state = 'rejected'")
        pool.commit()
    done = twinledger("doctor", "--json", home=home)
    assert done.code == 5
    assert "versions: 1 rows of the chain are missing" in findings(done)["projection"]
    assert "is sealed on chain and rejected in the pool" in done.out


def content(home: Path) -> dict[str, bytes]:
    """Every file but those that only say who is using the folder."""
    places = (path for path in home.rglob("*") if path.is_file())
    in_use = {"lock", "holder.pid", "owner", "chain.db.lock", "gateway.db.lock"}
    return {str(path.relative_to(home)): path.read_bytes() for path in places if path.name not in in_use}


def test_the_doctor_changes_nothing(home: Path) -> None:
    before = content(home)
    assert command("doctor", home=home).code == 0
    assert content(home) == before
    (home / "index.db").unlink()
    assert command("doctor", home=home).code == 0
    assert not (home / "index.db").exists()


def test_the_doctor_says_what_an_upgrade_will_do_and_leaves_it_to_the_start(home: Path) -> None:
    (home / "pool.db").unlink()
    with closing(sqlite3.connect(home / "pool.db")) as pool:
        pool.executescript((GOLDEN.parent / "pool-0.1.0.sqlite.sql").read_text())
    with closing(sqlite3.connect(home / "index.db")) as index:
        index.execute("UPDATE release SET projection = 1")
        index.commit()
    before = content(home)
    done = command("doctor", home=home)
    assert done.code == 5
    assert "has schema of 0.1.0: the next start upgrades it to" in findings(done)["pool"]
    assert "has shape 1: the next start builds it anew" in findings(done)["projection"]
    assert content(home) == before


def test_the_doctor_names_a_key_that_others_can_read(home: Path) -> None:
    (home / "keys" / "development.json").chmod(0o644)
    done = twinledger("doctor", "--json", home=home)
    assert done.code == 5
    assert "development.json can be read by others" in findings(done)["files"]


def test_a_backup_of_a_running_home_restores_to_one_that_goes_on(home: Path, tmp_path: Path) -> None:
    archive, again = tmp_path / "backup.tar", tmp_path / "again"
    with running("up", "--port", 0, home=home) as up:
        up.wait_for(r"is up at (http\S+)")
        submit(home, "while-up", 2)
        done = succeed("backup", archive, home=home)
        assert done["bytes"] == archive.stat().st_size
        assert archive.stat().st_mode & 0o777 == 0o600
        submit(home, "after", 3)
    assert twinledger("backup", archive, home=home).code == 4
    succeed("restore", archive, home=again)
    assert twinledger("doctor", home=again).code == 0
    with running("up", "--port", 0, home=again) as up:
        up.wait_for(r"is up at (http\S+)")
        assert {item["model"] for item in succeed("ls", home=again)} == {"local/kept", "local/while-up"}
        succeed("retrieve", "local/while-up", "-o", tmp_path / "out", home=again)
        receipt = submit(again, "goes-on", 4)
        assert receipt["number"] == 1


def test_a_home_that_is_not_empty_is_not_restored_into(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar"
    succeed("backup", archive, home=home)
    done = twinledger("restore", archive, home=home)
    assert done.code == 4
    assert "is not empty" in done.err


@pytest.mark.parametrize("damage", ["cut", "flipped", "no tar", "outside"])
def test_a_damaged_archive_restores_nothing(home: Path, tmp_path: Path, damage: str) -> None:
    archive, again = tmp_path / "backup.tar", tmp_path / "again"
    succeed("backup", archive, home=home)
    raw = bytearray(archive.read_bytes())
    if damage == "cut":
        archive.write_bytes(raw[: len(raw) // 2])
    elif damage == "flipped":
        raw[raw.index(b'"genesis_hash"') + 30] ^= 1
        archive.write_bytes(raw)
    elif damage == "no tar":
        archive.write_bytes(b"hello" * 1000)
    else:
        with tarfile.open(archive, "w") as tar:
            tar.add(GOLDEN, "../outside")
    done = twinledger("restore", archive, home=again)
    assert done.code == 5, done.err
    assert not again.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".again")) == []


def test_a_miner_is_refused_on_a_home_that_another_process_holds(home: Path) -> None:
    with running("up", "--port", 0, home=home) as up:
        up.wait_for(r"is up at (http\S+)")
        done = twinledger("miner", "run", "--key", "miner-1", home=home)
    assert done.code == 4
    assert "is in use by process" in done.err


def test_a_miner_mines_on_an_embedded_home_that_nobody_holds(home: Path) -> None:
    with running("miner", "run", "--key", "miner-1", home=home) as miner:
        assert miner.wait_for(r"mining as (0x\S+),").startswith("0x")
        assert miner.stop() == 0


def test_contracts_are_deployed_once_into_an_empty_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = succeed("deploy", home=home)
    assert set(done["contracts"]) >= {"Consortium", "TwinRegistry", "AuditAnchor"}
    assert (home / "deployment.json").exists()
    again = twinledger("deploy", home=home)
    assert again.code == 4
    assert "are deployed" in again.err


def test_a_threshold_above_the_council_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    done = twinledger("deploy", "--threshold", 2, home=tmp_path / "home")
    assert done.code == 4
    assert "the council has 1 members" in done.err


def test_serve_says_what_is_missing(tmp_path: Path) -> None:
    done = twinledger("serve", home=tmp_path / "home")
    assert done.code == 3
    assert "twinledger deploy" in done.err


def test_serve_refuses_a_development_key_where_others_can_reach_it(home: Path) -> None:
    done = twinledger("serve", "--host", "0.0.0.0", "--port", 0, home=home)
    assert done.code == 4
    assert "is a development key" in done.err


def test_serve_answers_over_tls_and_names_its_public_address(home: Path, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    given = {"TWINLEDGER_API_TLS_CERTIFICATE_FILE": str(certificate), "TWINLEDGER_API_TLS_KEY_FILE": str(key)}
    with running("serve", "--port", 0, home=home, **given) as serve:
        url = serve.wait_for(r"serves at (https\S+)")
        shown = succeed("show", "local/kept", home=home, TWINLEDGER_URL=url, SSL_CERT_FILE=str(certificate))
        assert shown["model"] == "local/kept"
        untrusted = twinledger("show", "local/kept", home=home, TWINLEDGER_URL=url)
        assert untrusted.code == 6
    with running(
        "serve", "--port", 0, home=home, TWINLEDGER_API_PUBLIC_URL="https://twins.example/"
    ) as serve:
        assert serve.wait_for(r"serves at (http\S+)") == "https://twins.example"


def test_a_caller_that_asks_too_fast_is_told_to_wait(home: Path) -> None:
    given = {"TWINLEDGER_LIMITS_REQUESTS_PER_S": "0.1", "TWINLEDGER_LIMITS_REQUEST_BURST": "3"}
    with running("serve", "--port", 0, home=home, **given) as serve:
        url = serve.wait_for(r"serves at (http\S+)")
        answers = [get(url, "/v1/models") for _ in range(60)]
        status, headers, body = next(answer for answer in answers if answer[0] != 200)
        assert (status, json.loads(body)["code"]) == (429, "rate_limited")
        assert int(headers["retry-after"]) >= 1
        assert get(url, "/healthz")[0] == 200


def get(url: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    found = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return found


def test_a_history_replayed_on_chain_prints_what_the_mechanism_prints(tmp_path: Path) -> None:
    given = json.dumps(HISTORY["inputs"])
    done = twinledger("mechanism", "run", "fwt_ledger", "--on-chain", home=tmp_path / "home", given=given)
    assert done.code == 0, done.err
    off_chain = twinledger("mechanism", "run", "fwt_ledger", home=tmp_path / "home", given=given)
    assert done.out == off_chain.out
    assert done.json == HISTORY["outputs"]


@pytest.mark.parametrize("key", ["audit_bond", "no_such"])
def test_only_what_the_contracts_do_is_replayed_on_chain(tmp_path: Path, key: str) -> None:
    done = twinledger("mechanism", "run", key, "--on-chain", home=tmp_path / "home", given="{}")
    assert done.code == 4


def test_a_network_is_laid_out_and_its_operator_named(tmp_path: Path) -> None:
    done = succeed("network", "init", "--validators", 4, "--out", tmp_path / "net", home=tmp_path / "home")
    assert len(done["validators"]) == 4
    assert done["operator"].startswith("0x")
    assert (tmp_path / "net" / "genesis.json").exists()


def test_content_moves_to_kubo_and_is_served_from_there(home: Path, tmp_path: Path) -> None:
    with engines("kubo") as found:
        api = found["TWINLEDGER_KUBO_API"].split(",")[0]
        done = succeed("store", "migrate", "--to", "kubo", "--api", api, home=home)
        assert done["copied"] > 0
        assert succeed("store", "migrate", "--to", "kubo", "--api", api, home=home)["copied"] == 0
        (home / "twinledger.toml").write_text(f'store = "kubo"\n[kubo]\napi = ["{api}"]\n')
        shutil.rmtree(home / "store")
        assert twinledger("doctor", home=home).code == 0
        with running("serve", "--port", 0, home=home) as serve:
            url = serve.wait_for(r"serves at (http\S+)")
            succeed("retrieve", "local/kept", "-o", tmp_path / "out", home=home, TWINLEDGER_URL=url)


def test_a_gateway_keeps_its_data_in_postgresql(home: Path, tmp_path: Path) -> None:
    with engines("postgres") as found:
        dsn = tmp_path / "dsn"
        dsn.write_text(found["TWINLEDGER_POSTGRES"])
        (home / "twinledger.toml").write_text(f'database = "postgresql"\n[postgresql]\ndsn_file = "{dsn}"\n')
        (home / "index.db").unlink()
        with running("up", "--port", 0, home=home) as up:
            up.wait_for(r"is up at (http\S+)")
            submit(home, "relational", 5)
            assert {item["model"] for item in succeed("ls", home=home)} == {"local/kept", "local/relational"}
        assert not (home / "index.db").exists()
        assert twinledger("doctor", home=home).code == 0


def test_an_unknown_setting_is_refused_by_name(home: Path) -> None:
    keep_key(home, "another", "another")
    (home / "twinledger.toml").write_text("[api]\nprot = 1\n")
    done = twinledger("config", "check", home=home)
    assert done.code == 4
    assert "api.port" in done.err
