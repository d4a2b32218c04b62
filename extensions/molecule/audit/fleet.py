# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for the scenario: fleet.py up|states|unchanged|rows|down, in the root of the checkout, as root.

`up` prints the path of the inventory on its last line. The others end with an error when something is not as it was
made. The lab is called `molecule`, unless EVICT_LAB_NAME names another.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.lab.linux import demo_fleet, snapshot
from tests.lab.linux.lab import Host, Lab
from tests.lab.linux.states import STATES, State

lab = Lab(os.environ.get("EVICT_LAB_NAME", "molecule"))
place = lab.state / lab.name


def hosts() -> dict[str, tuple[Host, State]]:
    """Name -> host and the state it was brought into."""
    return {
        name: (Host(lab=lab, name=name, ip="", root=root), STATES[state]) for name, root, state, _ in demo_fleet.HOSTS
    }


def up() -> None:
    """Boot and prepare the hosts, and remember every file of theirs."""
    demo_fleet.main(place / "inventory", lab.name)
    taken = {name: host.snapshot() for name, (host, _) in hosts().items()}
    (place / "before.json").write_text(json.dumps(taken))
    print(place / "inventory")


def states() -> None:
    """What dpkg, rpm, systemctl and /proc say."""
    for host, state in hosts().values():
        for check in state.checks:
            host.run(check)


def unchanged() -> None:
    """No file has changed but those that any login changes."""
    before = json.loads((place / "before.json").read_text())
    for name, (host, _) in hosts().items():
        if found := snapshot.not_allowed(snapshot.diff(before[name], host.snapshot())):
            sys.exit(f"{name} was changed:\n" + "\n".join(map(str, found)))


def rows() -> None:
    """Every run, of converge and of idempotence, gave each host the verdict that its state is worth."""
    runs = sorted((place / "runs").iterdir())
    if len(runs) < 2:
        sys.exit(f"only {len(runs)} runs: converge and idempotence make one each")
    for run in runs:
        found = {row["host"]: row for row in json.loads((run / "rows.json").read_text())["rows"]}
        for name, (_, state) in hosts().items():
            said = {product["id"]: product["state"] for product in found[name]["products"]}
            if (found[name]["verdict"], said) != (state.expected.verdict, dict(state.expected.products)):
                sys.exit(f"{run.name}: {name} is {state.why}, and the row says {found[name]}")


if __name__ == "__main__":
    {"up": up, "states": states, "unchanged": unchanged, "rows": rows, "down": lab.stop}[sys.argv[1]]()
