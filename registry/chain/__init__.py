"""Chains: one promise, the embedded backend and any Ethereum JSON-RPC, and the contracts on them."""
