"""What the tests of the sweep and of the janitor share."""

import pytest

from steno.config import Settings
from tests.place import Place


@pytest.fixture
def place(settings: Settings) -> Place:
    return Place(settings)
