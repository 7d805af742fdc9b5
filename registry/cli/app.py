"""The command line put together: global options anywhere, one way to fail, one exit code per kind."""

import json
import sys
import traceback
from collections.abc import Sequence

import typer

from registry.cli import account, audit, home, keys, mechanism, models, operate, submissions, tasks
from registry.cli.context import Globals, split_globals
from registry.cli.output import error_line
from registry.errors import RegistryError

_NAME = "twinledger"
_USAGE = 2
_HELP = "add --help to see what the command takes"

app = typer.Typer(
    name=_NAME,
    help="A registry for pre-trained digital-twin models of wireless systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for part in (home, submissions, models, account, keys, tasks, audit, mechanism, operate):
    part.register(app)


@app.callback()
def _globals(
    _home: str = typer.Option(None, "--home", help="home folder (TWINLEDGER_HOME, ~/.twinledger)"),
    _url: str = typer.Option(None, "--url", help="address of the service (TWINLEDGER_URL)"),
    _key: str = typer.Option(None, "--key", help="keystore path or name (TWINLEDGER_KEY)"),
    _password_file: str = typer.Option(None, "--password-file", help="file with the keystore's passphrase"),
    _json: bool = typer.Option(False, "--json", help="print exactly one JSON document"),
    _quiet: bool = typer.Option(False, "--quiet", help="no progress and no hints"),
) -> None:
    """Global options are taken anywhere on the line, before and after the command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit codes are those of interface.md section 3."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run one command and answer its exit code."""
    given = Globals(json="--json" in arguments)
    try:
        given, rest = split_globals(arguments)
        if (wanted := _help(rest)) is not None:
            print(wanted)
            return 0
        with given.applied():
            typer.main.get_command(app).main(rest, prog_name=_NAME)
    except SystemExit as e:
        # How typer ends every run: 0, 2 for the usage, or what a command chose.
        code = e.code if isinstance(e.code, int) else 0
        if code == _USAGE and given.json:
            print(json.dumps({"code": "usage", "detail": "the command line cannot be read", "hint": _HELP}))
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    except RegistryError as e:
        _fail(e, given)
        return e.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`| head`); there is nobody left to tell.
        sys.stderr.close()
        return 0
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        _fail(RegistryError(f"{where}{e.strerror or e}", hint="check the path and its permissions"), given)
        return RegistryError.exit_code
    except Exception as e:
        traceback.print_exc()
        _fail(RegistryError(f"{type(e).__name__}: {e}", hint="this is a bug: report what is above"), given)
        return RegistryError.exit_code
    return 0


def _help(rest: Sequence[str]) -> str | None:
    """The help that a line asks for; None where typer has to read the line.

    Typer reads a command's arguments before it prints its help, and loads pydantic for that: half a second.
    """
    if "--help" not in rest:
        return None
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name=_NAME)
    for word in rest:
        below = getattr(command, "commands", {})
        if word in below:
            command = below[word]
            context = typer.Context(command, info_name=word, parent=context)
        elif below and word != "--help":
            return None
        else:
            break
    return str(command.get_help(context))


def _fail(error: RegistryError, given: Globals) -> None:
    if given.json:
        print(json.dumps({"code": error.code, "detail": error.message, "hint": error.hint}))
    print(error_line(error, quiet=given.quiet), file=sys.stderr)
