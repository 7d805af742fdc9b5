"""The Python client: submit, retrieve and verify twin models without knowing about chains.

from registry import Client

client = Client()                                  # finds the service that `twinledger up` started
receipt = client.submit("local/ran-twin", ["weights.safetensors"], {"description": "..."})
found = client.retrieve("local/ran-twin", to="model")
"""

from registry.sdk.client import Client
from registry.sdk.receipts import Receipt
from registry.sdk.retrieval import Retrieved
from registry.sdk.submitting import Quote, Work

__all__ = ["Client", "Quote", "Receipt", "Retrieved", "Work"]
