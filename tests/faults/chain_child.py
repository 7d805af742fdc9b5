"""A process that drives an embedded chain for test_chain_crash.py, to be killed, starved or locked out.

python chain_child.py FOLDER COUNT     send transactions until block COUNT, print each block acknowledged
python chain_child.py FOLDER starve    the same under a file size limit, lifted when the chain complains
python chain_child.py FOLDER hold      open the folder and keep it until stdin closes
"""

import resource
import signal
import sys
from pathlib import Path

from registry.chain.blocks import Genesis
from registry.chain.embedded import EmbeddedChain
from registry.chain.signed import Draft, sign_draft
from registry.core.ids import Address
from registry.core.signing import KeySigner
from registry.errors import ChainUnavailable

KEY = KeySigner(b"\x01" * 32)
GENESIS = Genesis(1337, ((KEY.address, 10**24),))
TARGET = Address("0x" + "00" * 19 + "99")


def send_next(chain: EmbeddedChain) -> int:
    """One transaction, a function of its nonce only, mined when this returns."""
    nonce = chain.nonce(KEY.address)
    draft = Draft(1337, nonce, chain.fee_policy(), 50_000, TARGET, nonce, b"%d" % nonce * 50)
    tx_hash = chain.send(sign_draft(draft, KEY))
    while (receipt := chain.receipt(tx_hash)) is None:
        chain.wait_head(chain.head().number, 0.5)
        chain.send(sign_draft(draft, KEY))
    return receipt.block_number


def run(chain: EmbeddedChain, count: int) -> None:
    while chain.head().number < count:
        print(send_next(chain), flush=True)
    print("head", chain.head().hash.hex(), flush=True)


def starve(chain: EmbeddedChain, folder: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    acknowledged = [send_next(chain)]
    size = max(f.stat().st_size for f in folder.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
    try:
        while acknowledged[-1] < 1000:
            acknowledged.append(send_next(chain))
    except ChainUnavailable as e:
        print("full", acknowledged[-1], e, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while chain.wait_head(acknowledged[-1], 0.5).number == acknowledged[-1]:
        pass
    print("healed", send_next(chain), flush=True)


def main(folder: Path, what: str) -> None:
    chain: list[EmbeddedChain] = []
    # A clock that follows the chain: block times, and so hashes, do not depend on how often we were killed.
    chain.append(EmbeddedChain(folder, GENESIS, clock=lambda: chain[0].head().time + 1 if chain else 0))
    if what == "hold":
        print("held", flush=True)
        sys.stdin.read()
    elif what == "starve":
        starve(chain[0], folder)
    else:
        run(chain[0], int(what))
    chain[0].close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
