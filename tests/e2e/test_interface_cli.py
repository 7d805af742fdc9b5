"""The command line as scripts meet it: where options stand, what goes to stdout, how commands end."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from registry.cli.app import app, run

GOLDEN = json.loads((Path(__file__).parents[1] / "vectors" / "data" / "mechanisms_golden.json").read_text())
KEYS = sorted(set(GOLDEN) - {"schema", "note"})
# Interface, section 3: every command, and the options that scripts may give.
COMMANDS = {
    "demo": "cells devices rounds seed source rewards privacy",
    "up": "host port",
    "serve": "",
    "deploy": "rpc council threshold out",
    "miner run": "",
    "miner list": "",
    "miner show": "",
    "key new": "",
    "key list": "",
    "key show": "",
    "key register": "",
    "member add": "namespace role grant",
    "member remove": "",
    "member list": "",
    "cell add": "",
    "cell list": "",
    **dict.fromkeys(("council propose", "council approve", "council execute", "council list"), ""),
    "submit": "manifest parent fee max-price deadline salt private-to no-wait",
    **dict.fromkeys(("submission show", "submission wait", "submission list", "submission cancel"), ""),
    "retrieve": "cell allow-revoked",
    "search": "q tag near carrier-hz scenario cell metric dataset participant sort cursor",
    **dict.fromkeys(("ls", "show", "lineage", "verify", "alias", "deprecate", "grant", "ungrant"), ""),
    "revoke": "reason",
    **dict.fromkeys(("account show", "account deposit", "account withdraw", "account statement"), ""),
    **dict.fromkeys(("fees menu", "fees quote", "fees epochs", "fees recompute"), ""),
    **dict.fromkeys(
        [
            f"task {verb}"
            for verb in (
                *("create", "list", "show", "bid", "choose", "reveal", "contribute"),
                *("settle", "payouts", "claim", "challenge"),
            )
        ],
        "",
    ),
    **dict.fromkeys([f"service {verb}" for verb in ("offer", "award", "attest", "pay", "list")], ""),
    **dict.fromkeys(
        [
            f"audit {verb}"
            for verb in ("events", "timeline", "trace", "impact", "prove", "export", "fsck", "accuse")
        ],
        "",
    ),
    "audit verify": "trust",
    "audit witness": "",
    "mechanism list": "",
    "mechanism run": "input on-chain",
    **dict.fromkeys(("config show", "config path", "config check", "doctor", "backup", "restore"), ""),
    "store migrate": "",
    "network init": "",
}


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def twinledger(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """One command in this process, as the entry point runs it."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object, given: str = "") -> Done:
        capfd.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return command


def same(found: Any, expected: Any) -> bool:
    """Integers and names exactly, other numbers to a millionth."""
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(same(found[k], v) for k, v in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-6, abs=1e-9))
    return bool(found == expected and type(found) is type(expected))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_interface_is_there_with_its_options(command):
    found: Any = get_command(app)
    for word in command.split():
        assert word in found.commands, command
        found = found.commands[word]
    options = {name.removeprefix("--") for parameter in found.params for name in parameter.opts}
    assert set(COMMANDS[command].split()) <= options, command


@pytest.mark.parametrize("key", KEYS)
def test_every_mechanism_answers_on_stdout_what_is_known(twinledger, tmp_path, key):
    for case in GOLDEN[key]:
        text = json.dumps(case["inputs"])
        piped = twinledger("mechanism", "run", key, given=text)
        assert (piped.code, piped.err) == (0, "")
        assert same(piped.json, case["outputs"])
    file = tmp_path / "inputs.json"
    file.write_text(text)
    assert twinledger("--json", "mechanism", "run", key, "--input", file).json == piped.json
    assert twinledger("mechanism", "run", key, "--input", "-", given=text).json == piped.json


@pytest.mark.parametrize(
    ("arguments", "given", "code"),
    [
        (("mechanism", "run", "nothing"), "{}", 3),
        (("mechanism", "run", "sla_bonus"), "[]", 4),
        (("mechanism", "run", "sla_bonus"), "{", 4),
        (("mechanism", "run"), "", 2),
        (("nothing",), "", 2),
        (("ls", "--nothing"), "", 2),
        (("ls", "--home"), "", 2),
        (("ls", "--url", "http://127.0.0.1:9", "--home", "."), "", 6),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_one_document(twinledger, arguments, given, code):
    done = twinledger("--json", *arguments, given=given)
    assert done.code == code, done
    assert {"code", "detail", "hint"} <= set(done.json)
    assert done.err
    plain = twinledger(*arguments, given=given)
    assert (plain.code, plain.out) == (code, "")


def test_global_options_are_taken_anywhere_on_the_line(twinledger, live):
    home = live.home.root
    places = [
        ("--home", home, "--json", "fees", "menu"),
        ("fees", "--home", home, "menu", "--json"),
        ("fees", "menu", "--json", f"--home={home}", "--quiet"),
        ("fees", "menu", "--json", "--home", home, "--url", live.url, "--key", "development"),
    ]
    answers = [twinledger(*place) for place in places]
    assert [answer.code for answer in answers] == [0, 0, 0, 0]
    assert set(answers[0].json) == {"standard", "priority"}
    assert len({answer.out for answer in answers}) == 1


def test_reading_commands_print_exactly_one_document(twinledger, live):
    commands = ["ls", "search", "account show", "account statement", "fees epochs", "fees quote 1000"]
    commands += ["task list", "service list", "miner list", "member list", "cell list", "council list"]
    commands += ["submission list", "key list", "key show development", "config show", "config path"]
    commands += ["config check", "audit events", "audit timeline --model local/nothing", "mechanism list"]
    for command in commands:
        done = twinledger(*command.split(), "--home", live.home.root, "--json")
        assert done.code == 0, (command, done.err)
        assert done.json is not None


def test_what_is_missing_and_what_is_malformed_end_differently(twinledger, live):
    home = ("--home", live.home.root, "--json")
    assert twinledger("show", "local/no-such-model", *home).code == 3
    assert twinledger("show", "0xdeadbeef", *home).code == 3
    assert twinledger("show", "not-a-reference", *home).code == 4
    assert twinledger("account", "show", "0x12", *home).code == 4
    unknown = twinledger("member", "remove", "--key", "nobody", "0x" + "11" * 20, *home)
    assert unknown.code in (3, 4)
    assert unknown.json["hint"]


def test_unknown_settings_are_errors_wherever_they_come_from(twinledger, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    for place in (tmp_path / "twinledger.toml", home / "twinledger.toml"):
        place.write_text("no_such_setting = 1\n")
        done = twinledger("config", "check", "--home", home, "--json")
        assert (done.code, "no_such_setting" in done.json["detail"]) == (4, True)
        place.unlink()
    monkeypatch.setenv("TWINLEDGER_NO_SUCH_SETTING", "1")
    assert twinledger("config", "check", "--home", home, "--json").code == 4


def test_the_settings_of_the_working_folder_come_before_those_of_the_home(twinledger, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "twinledger.toml").write_text("[api]\nport = 1111\n")
    shown = ("config", "show", "--home", home, "--json")
    assert twinledger(*shown).json["api.port"] == "1111"
    (tmp_path / "twinledger.toml").write_text("[api]\nport = 2222\n")
    assert twinledger(*shown).json["api.port"] == "2222"
    monkeypatch.setenv("TWINLEDGER_API_PORT", "3333")
    assert twinledger(*shown).json["api.port"] == "3333"


def test_a_target_that_cannot_be_written_is_the_callers_to_change(twinledger, live, client, weights):
    client.submit("local/cli-target", [weights], {})
    place = weights.parent / "file"
    place.write_text("in the way")
    for target in (place, place / "below", "/proc/below"):
        done = twinledger("retrieve", "local/cli-target", "-o", target, "--home", live.home.root, "--json")
        assert (done.code, done.json["code"]) == (4, "conflict"), target
    assert place.read_text() == "in the way"


def test_what_nobody_foresaw_is_still_one_document_and_exit_1(twinledger, live, tmp_path):
    done = twinledger(
        "audit", "export", "--out", tmp_path / "no" / "case.zip", "--home", live.home.root, "--json"
    )
    assert (done.code, done.json["code"]) == (1, "registry_error")
    assert "no/case.zip" in done.json["detail"]


def test_a_service_is_an_http_address_and_nothing_behind_it(twinledger):
    for url in ("ftp://127.0.0.1", "127.0.0.1:8420", "http://127.0.0.1:9/v1", "http://127.0.0.1:x"):
        done = twinledger("ls", "--url", url, "--home", ".", "--json")
        assert (done.code, done.json["code"]) == (4, "malformed"), url


def test_roles_are_given_one_by_one_or_together(twinledger, live):
    forms = (("submitter", "--role", "device"), ("submitter", "device"), ("submitter,device",))
    for number, form in enumerate(forms):
        address = f"0x{number + 0xAA00:040x}"
        line = ("member", "add", address, "--namespace", "local", "--role", *form)
        assert twinledger(*line, "--home", live.home.root).code == 0, form
    members = twinledger("member", "list", "--home", live.home.root, "--json").json
    given = [member["roles"] for member in members if int(member["address"], 16) >> 8 == 0xAA]
    assert given == [["submitter", "device"]] * len(forms)


def test_a_cell_is_named_with_or_without_its_namespace(twinledger, live):
    home = ("--home", live.home.root, "--json")
    for cell in ("local/cli-cell-1", "cli-cell-2"):
        assert twinledger("cell", "add", cell, *home).code == 0, cell
    cells = {found["cell"] for found in twinledger("cell", "list", *home).json}
    assert {"local/cli-cell-1", "local/cli-cell-2"} <= cells
    assert twinledger("cell", "add", "other/cell", *home).json["code"] == "not_authorized"


def test_an_alias_that_may_not_be_is_refused_before_anything_is_signed(twinledger, live, client, weights):
    client.submit("local/cli-alias", [weights], {})
    home = ("--home", live.home.root, "--json")
    for alias in ("latest", "v3", "0xabc"):
        done = twinledger("alias", "local/cli-alias", alias, "local/cli-alias", *home)
        assert (done.code, "is no alias" in done.json["detail"]) == (4, True)
    done = twinledger("alias", "local/other", "best", "local/cli-alias", *home)
    assert "is a version of local/cli-alias" in done.json["detail"]


def test_a_miner_on_a_home_that_is_held_is_refused(twinledger, live):
    done = twinledger("miner", "run", "--home", live.home.root, "--json")
    assert (done.code, done.json["code"]) == (4, "conflict")


def test_findings_of_fsck_are_one_document(twinledger, live):
    done = twinledger("audit", "fsck", "--home", live.home.root, "--json")
    assert done.code in (0, 5)
    assert {entry["part"] for entry in done.json} >= {"chain", "logs"}


def test_settings_are_shown_as_the_file_would_hold_them(twinledger, tmp_path):
    shown = twinledger("config", "show", "--home", tmp_path, "--json").json
    assert (shown["chain"], shown["embedded_chain.chain_id"], shown["rpc.url"]) == ("embedded", "842001", "")


@pytest.mark.parametrize("line", ["--help", "submit --help", "submit local/a --help", "audit --help"])
def test_help_is_printed_without_loading_what_only_a_run_needs(line):
    program = f"""
import sys
from registry.cli.app import run
code = run({line.split()!r})
loaded = {{"pydantic", "numpy", "sqlalchemy", "fastapi", "web3", "rich"}} & set(sys.modules)
sys.exit(code or ", ".join(sorted(loaded)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: twinledger")


def test_help_for_no_command_is_a_usage_error(twinledger):
    assert twinledger("nothing", "--help").code == 2
