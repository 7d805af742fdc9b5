"""`python -m registry.network.unlock KEYSTORE PASSWORD_FILE OUT`: hand a node its key as Besu reads it.

OUT should lie in memory (a tmpfs): it holds the bare key. It is written anew at every start.
"""

import sys
from pathlib import Path

from registry.errors import RegistryError
from registry.network.keys import open_key, write_private


def main(arguments: list[str]) -> int:
    """Write the key; 2 for wrong usage, else the error's own exit code."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    keystore, password_file, out = map(Path, arguments)
    try:
        secret = open_key(keystore, password_file)
    except RegistryError as e:
        print(e.message, file=sys.stderr)
        return e.exit_code
    out.unlink(missing_ok=True)
    write_private(out, secret.hex())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
