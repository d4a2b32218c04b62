# SPDX-License-Identifier: GPL-3.0-or-later
"""What unit tests share."""

from __future__ import annotations

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The catalog of the repository."""
    return knowledge.catalog()
