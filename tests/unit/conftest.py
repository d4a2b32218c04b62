# SPDX-License-Identifier: GPL-3.0-or-later
"""What unit tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog

# How long an example takes depends on what else the machine does; costs are measured in benchmarks/.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The catalog of the repository."""
    return knowledge.catalog()


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder everybody can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def fresh() -> Iterator[None]:
    """No run of another test in this process."""
    run.reset()
    yield
    run.reset()
