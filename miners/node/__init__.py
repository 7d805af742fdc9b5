"""A miner as a process: pin, then seal in turn, post backlogs, close epochs, pay rebates."""

from miners.node.node import MinerNode
from miners.node.remote import HttpSource, Sources
from miners.node.serving import ContentServer
from miners.node.source import LocalSource, Source

__all__ = ["ContentServer", "HttpSource", "LocalSource", "MinerNode", "Source", "Sources"]
