"""Settings: one file and the environment, every key known, every value of its type."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.config import (
    SETTINGS,
    EmbeddedChain,
    KuboStore,
    Postgresql,
    RpcChain,
    Settings,
    load_settings,
    read_secret,
    resolve_home,
    settings_page,
)
from registry.config.load import NOT_SETTINGS
from registry.errors import Malformed


@pytest.fixture
def home(tmp_path):
    return resolve_home(tmp_path / "home", {}).make()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def load(home, folder, text="", environ=None, **options):
    home.settings.write_text(text)
    dotted = {key.replace("__", "."): value for key, value in options.items()}
    return load_settings(home, environ or {}, folder=folder, options=dotted)


def test_without_file_and_environment_everything_has_its_default(home, folder):
    loaded = load_settings(home, {"PATH": "/bin", "TWINLEDGER_HOME": "/x"}, folder=folder)
    assert loaded.settings == Settings() and loaded.file is None and loaded.sources == ()


def test_the_environment_wins_over_the_file_and_options_over_both(home, folder):
    loaded = load(home, folder, "[api]\nport = 1\nhost = 'a'\npublic_url = 'u'", {"TWINLEDGER_API_PORT": "2"})
    assert (loaded.settings.api.port, loaded.settings.api.host) == (2, "a")
    loaded = load(home, folder, "[api]\nport = 1", {"TWINLEDGER_API_PORT": "2"}, api__port=3)
    assert loaded.settings.api.port == 3
    assert dict(loaded.sources) == {"api.port": "option"}


def test_the_working_folder_s_file_replaces_that_of_the_home(home, folder):
    (folder / "twinledger.toml").write_text("[api]\nport = 7")
    loaded = load(home, folder, "[api]\nport = 1\nhost = 'elsewhere'")
    assert (loaded.settings.api.port, loaded.settings.api.host) == (7, "127.0.0.1")
    assert loaded.file == folder / "twinledger.toml"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", EmbeddedChain), ('chain = "embedded"', EmbeddedChain), ('chain = "rpc"', RpcChain)],
)
def test_a_backend_is_a_tag_and_its_own_section(home, folder, text, kind):
    assert type(load(home, folder, text).settings.chain) is kind


def test_the_section_of_the_chosen_backend_is_read(home, folder):
    tags = 'chain = "rpc"\nstore = "kubo"\ndatabase = "postgresql"\n'
    text = tags + '[rpc]\nconfirmations = 3\n[kubo]\napi = ["/ip4/1"]\n'
    settings = load(home, folder, text + '[postgresql]\ndsn_file = "pg"').settings
    assert settings.chain == RpcChain(confirmations=3)
    assert settings.store == KuboStore(api=("/ip4/1",))
    assert settings.database == Postgresql(dsn_file=home.root / "pg")


def test_the_environment_chooses_a_backend_too(home, folder):
    environ = {"TWINLEDGER_CHAIN": "rpc", "TWINLEDGER_RPC_URL": "http://n", "TWINLEDGER_KUBO_API": "a, b"}
    assert load(home, folder, "", environ).settings.chain == RpcChain(url="http://n")
    kubo = load(home, folder, "", environ | {"TWINLEDGER_STORE": "kubo"}).settings.store
    assert kubo == KuboStore(api=("a", "b"))


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[api]\nprot = 1", "api.port"),
        ("[apis]\nport = 1", "api"),
        ("chian = 'rpc'", "chain"),
        ("port = 1", None),
        ("[api.port]\nx = 1", None),
        ("[[api]]\nport = 1", None),
        ("chain = 'geth'", None),
        ("chain = 1", None),
        ("[rpc]\nurl = 'http://n'", None),
        ("[api]\nport = '8420'", None),
        ("[api]\nport = true", None),
        ("[api]\nport = 65536", None),
        ("[api]\nport = -1", None),
        ("[api]\nport = 1.0", None),
        ("[rpc]\npoll_s = nan\n", None),
        ("chain = 'rpc'\n[rpc]\npoll_s = inf", None),
        ("[miner]\ngateways = 'x'", None),
        ("[miner]\ngateways = [1]", None),
        ("[access]\nlog = 'closed'", None),
        ("[gateway]\nkey_file = 3", None),
        ("not toml", None),
        ("[api]\nport = 1\nport = 2", None),
    ],
)
def test_an_unknown_key_or_a_value_of_another_type_is_an_error(home, folder, text, near):
    with pytest.raises(Malformed) as refusal:
        load(home, folder, text)
    assert near is None or near in refusal.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("TWINLEDGER_API_PROT", "1"), ("TWINLEDGER_", "1"), ("TWINLEDGER_API_PORT", "many")),
        *(("TWINLEDGER_API_PORT", ""), ("TWINLEDGER_ACCESS_LOG", "yes"), ("TWINLEDGER_CHAIN", "geth")),
        *(("TWINLEDGER_RPC_POLL_S", "nan"), ("TWINLEDGER_RPC_POLL_S", "soon")),
    ],
)
def test_the_environment_is_held_to_the_same_rules(home, folder, name, value):
    with pytest.raises(Malformed):
        load(home, folder, "", {name: value})


def test_a_hint_names_only_what_the_settings_page_lists(home, folder):
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    for name in ("TWINLEDGER_FOO", "TWINLEDGER_SOL", "TWINLEDGER_URLS"):
        with pytest.raises(Malformed) as refusal:
            load(home, folder, "", {name: "1"})
        named = [word.rstrip("?") for word in refusal.value.hint.split() if word.startswith("TWINLEDGER_")]
        assert all(f"`{word}`" in page for word in named), refusal.value.hint


def test_an_unknown_option_is_an_error(home, folder):
    with pytest.raises(Malformed):
        load(home, folder, api__prot=1)


def test_a_secret_is_named_by_its_file_relative_to_the_settings(home, folder):
    loaded = load(home, folder, "[gateway]\npassword_file = 'secrets/pw'")
    file = loaded.settings.gateway.password_file
    assert file == home.root / "secrets" / "pw"
    with pytest.raises(Malformed):
        read_secret(file)
    file.parent.mkdir()
    file.write_text("hunter2\n")
    assert read_secret(file) == "hunter2"


@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("twin.example", False)),
    ],
)
def test_unsigned_reads_are_open_by_default_on_loopback_alone(home, folder, host, is_open):
    settings = load(home, folder, f"[api]\nhost = '{host}'").settings
    assert settings.is_open("content") is settings.is_open("models") is is_open


@pytest.mark.parametrize(("mode", "is_open"), [("open", True), ("members", False)])
def test_a_route_group_can_be_opened_or_closed_by_name(home, folder, mode, is_open):
    host = "0.0.0.0" if is_open else "127.0.0.1"
    settings = load(home, folder, f"[api]\nhost = '{host}'\n[access]\naudit = '{mode}'").settings
    assert settings.is_open("audit") is is_open
    assert settings.is_open("fees") is not is_open


def test_the_home_is_the_option_then_the_environment_then_the_user_s(tmp_path):
    environ = {"TWINLEDGER_HOME": str(tmp_path / "env")}
    assert resolve_home(tmp_path / "option", environ).root == tmp_path / "option"
    assert resolve_home(None, environ).root == tmp_path / "env"
    assert resolve_home(None, {}).root == Path("~/.twinledger").expanduser()


def test_a_home_is_made_with_its_parents_for_its_owner_alone(tmp_path):
    home = resolve_home(tmp_path / "a" / "b", {}).make()
    assert home.root.is_dir() and home.root.stat().st_mode & 0o077 == 0
    assert home.make() == home


def test_a_home_that_cannot_be_made_is_malformed(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Malformed):
        resolve_home(tmp_path / "file" / "home", {}).make()
    with pytest.raises(Malformed):
        resolve_home("~nobody-has-this-name/home", {})


def test_every_setting_is_set_by_its_key_and_by_its_variable(home, folder):
    for row in SETTINGS:
        text = {"file": "f", "list of texts": "a,b", "text": "t"}.get(row.type, f"{row.default}")
        values = dict(load(home, folder, "", {row.env: text}).sources)
        assert values == {row.key: row.env}
    assert len({row.env for row in SETTINGS}) == len(SETTINGS)


def test_the_page_of_settings_is_the_table():
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_page()


@given(st.text(max_size=60))
def test_any_file_is_read_or_malformed(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("settings")
    (folder / "twinledger.toml").write_text(text, encoding="utf-8", errors="replace")
    try:
        load_settings(resolve_home(folder / "home", {}), {}, folder=folder)
    except Malformed as e:
        assert e.hint


def test_every_variable_that_an_engine_is_named_by_is_no_setting():
    """They are set where all tests run, and each command that a test starts sees them."""
    devnet = Path(__file__).parents[3] / "scripts" / "devnet"
    programs = [path for path in devnet.iterdir() if path.is_file()]
    named = {name for path in programs for name in re.findall(r"\bTWINLEDGER_[A-Z0-9_]+", path.read_text())}
    assert {"TWINLEDGER_CHROMIUM", "TWINLEDGER_NS3_PYTHON", "TWINLEDGER_POSTGRES"} <= named
    settings = {row.env for row in SETTINGS}
    assert named - settings - NOT_SETTINGS == set()
