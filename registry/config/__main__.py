"""`python -m registry.config` prints docs/settings.md."""

from registry.config.table import settings_page

print(settings_page(), end="")
