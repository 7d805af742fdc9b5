"""What one gateway lets a caller do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Byte quotas of content that no submission names yet, and how long it is kept."""

    anonymous_bytes: int = 1 << 30
    caller_bytes: int = 16 << 30
    all_bytes: int = 64 << 30
    file_bytes: int = 64 << 30
    unnamed_s: int = 3600
