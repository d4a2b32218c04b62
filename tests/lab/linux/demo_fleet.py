# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot the demo's hosts and write their inventory; called by ``demo up``."""

from __future__ import annotations

import sys
from pathlib import Path

from .lab import Lab
from .states import STATES

HOSTS = (  # name, root, state, user
    ("clean", "deb12", "clean", "nopass"),
    ("running", "deb13", "kesl", "withpass"),
    ("leftovers", "deb12", "rc", "nopass"),
    ("agent", "rpm9", "klnagent64", "root"),
)


def main(inventory: Path, name: str = "demo") -> None:
    """Make it all anew in the lab of that name; one that is up already is replaced."""
    lab = Lab(name)
    lab.stop()
    print("building root file systems (about a minute the first time) and booting four hosts", flush=True)
    lab.start(*{root for _, root, _, _ in HOSTS})
    hosts = [lab.up(name, root) for name, root, _, _ in HOSTS]
    lab.wait(*hosts)
    for host, (_, _, state, _) in zip(hosts, HOSTS, strict=True):
        STATES[state].make(host)
    found = {h.name: h.vars(user=user, become=user != "root") for h, (_, _, _, user) in zip(hosts, HOSTS, strict=True)}
    lab.inventory(inventory, found)
    for host, (_, root, state, _) in zip(hosts, HOSTS, strict=True):
        print(f"{host.name:10} {host.ip:14} {root:6} {STATES[state].why}")
    print(f"inventory: {inventory}\nnow: make lab-audit; at the end: make lab-down")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
