"""What only this gateway knows: submissions not yet final, uploads, and requests already answered."""

from registry.pool.nonces import Nonces, open_nonces
from registry.pool.requests import Answered, Requests
from registry.pool.rows import Entry, Filed, PoolState
from registry.pool.submissions import Pool
from registry.pool.uploads import Upload, Uploads

__all__ = [
    "Answered",
    "Entry",
    "Filed",
    "Nonces",
    "Pool",
    "PoolState",
    "Requests",
    "Upload",
    "Uploads",
    "open_nonces",
]
