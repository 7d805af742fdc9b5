"""What only this gateway knows: submissions not yet final, uploads, and requests already answered."""

from registry.pool.requests import Answered, Requests
from registry.pool.submissions import Entry, Pool, PoolState
from registry.pool.uploads import Upload, Uploads

__all__ = ["Answered", "Entry", "Pool", "PoolState", "Requests", "Upload", "Uploads"]
