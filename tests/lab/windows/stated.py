# SPDX-License-Identifier: GPL-3.0-or-later
"""All states at once, each a host of its own behind a stand-in: made once, then audited and planned."""

from __future__ import annotations

import uuid

from . import snapshot, states
from .fixtures import Fixtures
from .lab import Served, WindowsLab
from .state import entry, registry
from .winrm_standin import Traffic

# Those that are looked at before and after; their runs must change nothing.
OBSERVED = ("clean", "both", "signed-out")


class Stated:
    """Hosts in all states.

    Attributes:
        served: state -> host and stand-in.
        inventory: text of an INI inventory, each host named as its state.
    """

    def __init__(self, lab: WindowsLab, packages: Fixtures) -> None:
        self.served: dict[str, Served] = {}
        for state in states.STATES:
            host = lab.host(state.name)
            # Hosts are copies of one template; two machines with one id are a case of their own.
            machine = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{state.name}.evict.test"))
            registry(host, entry(r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Cryptography", MachineGuid=machine))
            state.make(host, packages)
            self.served[state.name] = lab.stand_in(host)
        self.inventory = "\n".join(self.lines().values()) + "\n"

    def lines(self) -> dict[str, str]:
        """State -> its line of an INI inventory."""
        return {name: served.inventory_line(name) for name, served in self.served.items()}

    def looks(self) -> dict[str, snapshot.Snapshot]:
        """What the observed hosts look like now."""
        return {name: snapshot.take(self.served[name].host) for name in OBSERVED}

    def traffic(self) -> dict[str, Traffic]:
        """What each host's stand-in was asked and has answered so far."""
        return {name: served.server.traffic for name, served in self.served.items()}
