"""`python -m registry.audit` prints docs/log-entry-1.schema.json."""

import json

from registry.audit.schemas import entry_schema

print(json.dumps(entry_schema(), indent=1))
