"""What can be an alias of a model."""

from __future__ import annotations

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.releases import aliases


@pytest.mark.parametrize("alias", ["", "two words", "v2", "V10", "latest", "Latest", "7", "a/b", "a" * 256, "a\n"])
def test_what_the_registry_or_a_reader_would_misunderstand_is_refused_before_anything_is_judged(alias: str) -> None:
    with pytest.raises(BoxError) as caught:
        aliases.check(alias)
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("alias", ["champion", "v2-shadow", "the-latest", "2013_winter", "a" * 255])
def test_names_are_taken(alias: str) -> None:
    aliases.check(alias)
