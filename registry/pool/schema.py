"""The one set of tables that are primary data: back them up, never rebuild them."""

from sqlalchemy import MetaData

metadata = MetaData()
