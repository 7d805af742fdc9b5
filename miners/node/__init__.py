"""A miner as a process: pin, then seal in turn, post backlogs, close epochs, pay rebates, audit, claim."""

from miners.node.node import MinerNode
from miners.node.peers import ANSWER_S, HttpPeer, Peer, StorePeer
from miners.node.remote import HttpSource, Sources
from miners.node.serving import ContentServer
from miners.node.source import LocalSource, Source

__all__ = [
    "ANSWER_S",
    "ContentServer",
    "HttpPeer",
    "HttpSource",
    "LocalSource",
    "MinerNode",
    "Peer",
    "Source",
    "Sources",
    "StorePeer",
]
