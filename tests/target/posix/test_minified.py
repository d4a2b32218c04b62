# SPDX-License-Identifier: GPL-3.0-or-later
"""The script as it travels and the script as it was written say the same of a host, in every shell we know of."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, script
from tests import tree
from tests.target.posix.staged import NONCE, database, decode, raw_look

SHELLS = {
    "dash": ("dash",),
    "bash": ("bash", "--posix"),
    "busybox": ("busybox", "sh"),
    "mksh": ("mksh",),
    "ksh93": ("ksh93",),
}
# Something for each probe to find, and names that need care.
HOST = (
    database()
    + r"""
mkdir -p /opt/kaspersky/kesl/bin "/opt/kaspersky/a b"
mkdir -p /var/opt/kaspersky/kesl/install_1 /etc/systemd/system/kesl.service.d
printf x >/opt/kaspersky/kesl/bin/kesl; chmod 755 /opt/kaspersky/kesl/bin/kesl
: >"/opt/kaspersky/it's # \$(no) comment"
ln -s /none /opt/kaspersky/gone
printf '[Service]\nExecStart=-"/opt/kaspersky/a b/kesl" x\n' >/etc/systemd/system/kesl.service
printf '[Service]\nExecStart=\nExecStart=!/opt/kaspersky/other --flag\n' >/etc/systemd/system/kesl.service.d/10.conf
ln -s /dev/null /etc/systemd/system/klnagent64.service
: >/etc/init.d/kesl
printf '[1103]\r\nVersion = "15.1"\n[kesl]\nVERSION=12\n' >/var/opt/kaspersky/applications.setup
printf 'kesladmin:x:990:root,kl\n' >>/etc/group; printf 'kl:x:991:990::/:/bin/false\n' >>/etc/passwd
"""
)


def plain() -> str:
    """The parts as they are, one after the other, in the frame that the script has."""
    parts = [(tree.ROOT / "probes" / "posix" / name).read_text() for name in script.OBSERVE]
    return "main() {\n" + "\n".join(parts) + '\n}\nmain "$@" </dev/null\n'


@pytest.mark.parametrize("name", SHELLS)
def test_same_answer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SHELLS[name]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} on this machine: the travelling script in it")
    literals: dict[str, t.Any] = knowledge.catalog().literals("linux")
    answers = []
    for number, text in enumerate((plain(), knowledge.OBSERVE_SH)):
        monkeypatch.setattr(knowledge, "OBSERVE_SH", text)
        stage = tmp_path / str(number)
        stage.mkdir()
        raw = raw_look(stage, HOST, shell=shell, **literals)
        answers.append(decode(raw, NONCE))
    assert answers[0] == answers[1]
    assert {"packages.dpkg", "units", "init_scripts", "paths", "trees", "setup", "accounts"} <= {
        probe for probe, answer in answers[1].items() if answer.records
    }
    assert len(knowledge.OBSERVE_SH) < 0.8 * len(plain())
