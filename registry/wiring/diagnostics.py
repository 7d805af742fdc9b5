"""What a service says on stderr: lines for a person, or one JSON object per line for a collector.

Every line that was written while a request was served bears that request's id. Nothing here reads a key, a
passphrase or a header: only what the code chose to say is written.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

from registry.config import Diagnostics

request_id: ContextVar[str] = ContextVar("request_id", default="")
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
# Set by `logging` itself on every record; anything else came with `extra=` and is said too.
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """time, level, logger, message; request_id, error and extra fields where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := request_id.get():
            fields["request_id"] = found
        fields |= {key: value for key, value in vars(record).items() if key not in _ORDINARY}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(fields, default=str, ensure_ascii=False)


def write_diagnostics(chosen: Diagnostics) -> None:
    """Send every logger of this process to stderr, in the form and from the level of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if chosen.format == "json" else logging.Formatter(_TEXT))
    level = logging.getLevelNamesMapping()[chosen.level.upper()]
    # What libraries say in detail may hold what they were given: only their warnings are written.
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in ("registry", "miners"):
        logging.getLogger(name).setLevel(level)
