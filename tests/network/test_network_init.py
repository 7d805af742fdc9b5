"""What `network init` writes is what Besu publishes that it reads, and fits together; Besu is not run."""

import json
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from eth_keys.datatypes import PrivateKey

from registry.core.ids import Address, address_of, keccak, to_address
from registry.core.rlp import decode
from registry.errors import Conflict, Malformed, NotFound, Unauthenticated
from registry.network import Participant, init_network, write_allowlists
from registry.network.genesis import extra_data
from registry.network.keys import open_key

BESU = json.loads((Path(__file__).parents[1] / "vectors" / "data" / "besu_names.json").read_text())
MEMBER = Participant(
    Address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), (f"enode://{'ab' * 64}@10.1.2.3:30303",), 10**18
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return init_network(tmp_path_factory.mktemp("parent") / "network", 4, chain_id=777, members=[MEMBER])


@pytest.fixture(scope="module")
def genesis(plan):
    return json.loads((plan.folder / "genesis.json").read_text())


def validator_file(plan, name):
    return [plan.folder / "validators" / node.name / name for node in plan.validators]


@pytest.mark.parametrize("vector", BESU["extra_data"], ids=lambda v: f"{len(v['validators'])}-validators")
def test_extra_data_equals_besus_published_examples(vector):
    assert "0x" + extra_data([to_address(v) for v in vector["validators"]]).hex() == vector["encoded"]


def test_every_genesis_key_is_one_that_besu_reads(genesis):
    assert {key.lower() for key in genesis} <= set(BESU["genesis"])
    assert {key.lower() for key in genesis["config"]} <= set(BESU["genesis_config"])
    assert set(genesis["config"]["qbft"]) <= set(BESU["qbft"])


def test_every_option_of_a_node_is_one_that_besu_takes(plan):
    for path in validator_file(plan, "config.toml"):
        options = tomllib.loads(path.read_text())
        assert set(options) <= set(BESU["options"])
        assert set(options["rpc-http-api"]) | set(options["rpc-ws-api"]) <= set(BESU["rpc_apis"])


def test_the_network_is_free_of_gas_prices_on_every_node(plan, genesis):
    assert genesis["config"]["zeroBaseFee"] is True
    assert genesis["config"]["londonBlock"] == 0
    for path in validator_file(plan, "config.toml"):
        assert tomllib.loads(path.read_text())["min-gas-price"] == 0


def test_the_block_zero_names_exactly_the_validators_in_ascending_order(plan, genesis):
    vanity, validators, vote, current_round, seals = decode(bytes.fromhex(genesis["extraData"][2:]))
    assert (vanity, vote, current_round, seals) == (bytes(32), [], b"", [])
    assert validators == sorted(validators)
    assert {address_of(raw) for raw in validators} == {node.address for node in plan.validators}


def test_the_funds_are_the_operators_and_the_members(plan, genesis):
    funds = {to_address("0x" + address): int(e["balance"], 16) for address, e in genesis["alloc"].items()}
    assert funds == {plan.operator: 10**27, MEMBER.address: 10**18}
    assert genesis["config"]["chainId"] == plan.chain_id == 777


def test_each_keystore_opens_to_the_key_of_its_address_and_enode(plan):
    for node, keystore in zip(plan.validators, validator_file(plan, "keystore.json"), strict=True):
        secret = open_key(keystore, plan.folder / "secrets" / f"{node.name}.password")
        public = PrivateKey(secret).public_key.to_bytes()
        assert address_of(keccak(public)[12:]) == node.address
        assert node.enode.startswith(f"enode://{public.hex()}@")
    operator = open_key(
        plan.folder / "operator" / "keystore.json", plan.folder / "secrets" / "operator.password"
    )
    assert to_address(PrivateKey(operator).public_key.to_address()) == plan.operator


def test_no_key_and_no_password_can_be_read_by_others(plan):
    private = [
        path for path in plan.folder.rglob("*") if path.suffix == ".password" or "keystore" in path.name
    ]
    assert len(private) == 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE((plan.folder / "secrets").stat().st_mode) == 0o700


def test_two_networks_share_no_key(plan, tmp_path):
    other = init_network(tmp_path, 4)
    assert {n.address for n in other.validators}.isdisjoint(n.address for n in plan.validators)


def test_unlock_hands_a_node_the_bare_key_for_its_owner_alone(plan, tmp_path):
    node = plan.validators[0]
    keystore = plan.folder / "validators" / node.name / "keystore.json"
    password, out = plan.folder / "secrets" / f"{node.name}.password", tmp_path / "key"
    for _ in range(2):  # a restart writes it again
        run_unlock(keystore, password, out, code=0)
    assert bytes.fromhex(out.read_text()) == open_key(keystore, password)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_wrong_password_leaves_no_key_behind(plan, tmp_path):
    keystore = plan.folder / "validators" / "validator-1" / "keystore.json"
    wrong, out = plan.folder / "secrets" / "validator-2.password", tmp_path / "key"
    run_unlock(keystore, wrong, out, code=Unauthenticated.exit_code)
    run_unlock(tmp_path / "absent", wrong, out, code=NotFound.exit_code)
    assert not out.exists()


def run_unlock(*paths, code):
    argv = [sys.executable, "-m", "registry.network.unlock", *map(str, paths)]
    assert subprocess.run(argv, check=False, capture_output=True).returncode == code


def test_the_lists_hold_the_operator_the_validators_and_the_members_and_are_equal_everywhere(plan):
    texts = {path.read_text() for path in validator_file(plan, "permissions_config.toml")}
    assert len(texts) == 1
    lists = tomllib.loads(texts.pop())
    assert set(lists) <= set(BESU["permissions"])
    assert {to_address(a) for a in lists["accounts-allowlist"]} == {plan.operator, MEMBER.address}
    assert set(lists["nodes-allowlist"]) == {*(n.enode for n in plan.validators), *MEMBER.enodes}


def test_a_node_dials_only_whom_its_list_lets_in(plan):
    dialled = set(json.loads((plan.folder / "static-nodes.json").read_text()))
    lists = tomllib.loads(validator_file(plan, "permissions_config.toml")[0].read_text())
    assert dialled == {node.enode for node in plan.validators}
    assert dialled <= set(lists["nodes-allowlist"])


def test_a_member_that_leaves_leaves_the_lists(tmp_path):
    plan = init_network(tmp_path, 4, members=[MEMBER])
    written = write_allowlists(plan.folder, [])
    assert written == tuple(validator_file(plan, "permissions_config.toml"))
    assert all(tomllib.loads(p.read_text())["accounts-allowlist"] == [plan.operator.lower()] for p in written)
    assert not list(plan.folder.rglob("*.part"))


def test_lists_of_a_folder_without_a_network_are_refused(tmp_path):
    with pytest.raises(NotFound, match="holds no network"):
        write_allowlists(tmp_path, [])


@pytest.mark.parametrize("enode", ["", "enode://ab@10.0.0.1:30303", f"http://{'ab' * 64}@h:1", '"\n[x]'])
def test_what_is_no_enode_url_reaches_no_list(enode):
    with pytest.raises(Malformed, match="enode"):
        Participant(MEMBER.address, (enode,))


@pytest.mark.parametrize("validators", [-1, 0, 3, 201])
def test_fewer_validators_than_outlive_one_failure_are_refused(tmp_path, validators):
    with pytest.raises(Malformed, match="validators"):
        init_network(tmp_path / "network", validators)
    assert not (tmp_path / "network").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(Conflict, match="is not empty"):
        init_network(tmp_path, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_compose_mounts_only_files_that_exist_and_listens_on_loopback_only(plan):
    compose = json.loads((plan.folder / "compose.yaml").read_text())
    addresses, ports = [], []
    for service in compose["services"].values():
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert source in compose["volumes"] or (plan.folder / source).exists()
        for secret in service["secrets"]:
            assert (plan.folder / compose["secrets"][secret["source"]]["file"]).is_file()
        addresses.append(service["networks"]["validators"]["ipv4_address"])
        ports += service["ports"]
    assert [node.enode.split("@")[1].split(":")[0] for node in plan.validators] == addresses
    assert len(set(addresses)) == 4
    assert len(set(ports)) == 8
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_nodes_paths_are_the_ones_that_its_container_mounts(plan):
    compose = json.loads((plan.folder / "compose.yaml").read_text())
    mounted = {}
    for mount in compose["services"]["validator-1"]["volumes"]:
        source, target, *_ = mount.split(":")
        mounted[target] = source
    options = tomllib.loads(validator_file(plan, "config.toml")[0].read_text())
    assert mounted[options["data-path"]] == "validator-1-data"
    for option in ("genesis-file", "static-nodes-file"):
        assert (plan.folder / mounted[options[option]]).is_file()
    permissions = Path(options["permissions-accounts-config-file"])
    assert (plan.folder / mounted[str(permissions.parent)] / permissions.name).is_file()


def test_the_start_script_is_a_shell_script_that_runs_this_packages_unlock(plan):
    script = plan.folder / "start-validator"
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert stat.S_IMODE(script.stat().st_mode) & 0o111
    assert "-m registry.network.unlock " in script.read_text()
    assert "COPY --chmod=755 start-validator" in (plan.folder / "Dockerfile").read_text()
