# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine is changed under one name only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import twins


def test_the_first_one_gets_it_and_keeps_it(tmp_path: Path) -> None:
    assert twins.claim(tmp_path, "ID-1", "web1") == "web1"
    assert twins.claim(tmp_path, "id-1 ", "web2") == "web1"
    assert twins.claim(tmp_path, "ID-1", "web1") == "web1"
    assert twins.claim(tmp_path, "ID-2", "wéb/2") == "wéb/2"
    assert sorted(path.name[0] for path in (tmp_path / twins.FOLDER).iterdir()) != []
    assert not list((tmp_path / twins.FOLDER).glob(".*"))


CLAIM = """import sys
from pathlib import Path
from ansible_collections.evict.kaspersky.plugins.plugin_utils import twins
print(*{twins.claim(Path(sys.argv[1]), "id", f"host{sys.argv[2]}-{n}") for n in range(5)})
"""


def test_workers_that_come_at_once_agree(tmp_path: Path) -> None:
    # Programs of their own: a copy of this process, which has threads, can wait for ever for a lock one of them held.
    workers = [
        subprocess.Popen([sys.executable, "-c", CLAIM, tmp_path, str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(8)
    ]
    found = [worker.communicate(timeout=120)[0].split() for worker in workers]
    assert len({name for names in found for name in names}) == 1
    assert [len(names) for names in found] == [1] * 8
