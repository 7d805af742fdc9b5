"""A miner as a process: pin, then seal in turn, post backlogs, close epochs, pay rebates."""

from miners.node.node import MinerNode
from miners.node.source import LocalSource, Source

__all__ = ["LocalSource", "MinerNode", "Source"]
