"""Which names of variables and settings say that their values are nobody's to read."""

from __future__ import annotations

import re

# Models speak of tokens too: TOKENIZERS_PARALLELISM, MAX_TOKENS.
NAMED = re.compile(
    r"secret|token(?!iz|s$|s_)|passw|passphrase|credential|(api|private|access|account)_?key", re.IGNORECASE
)
# Names that say where a secret is, or that are none.
_HARMLESS = re.compile(r"(_FILE|_NAME|_PATH|_ENV|_SECRETS|_ROLE|PRODUCTION_TOKEN|_TTL)$")


def is_secret(name: str) -> bool:
    """Whether a value under this name must not be written out."""
    return bool(NAMED.search(name)) and not _HARMLESS.search(name)
