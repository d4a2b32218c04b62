# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to ask a fleet over ssh: commands of the controller with the same inventory, forks and ssh options."""

from __future__ import annotations

import os
import sys
import typing as t

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, script

from .fleet import OPTIONS, SSH, Fleet

PLAY = "- hosts: all\n  gather_facts: false\n  tasks:\n"
PROBE = """\
#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
import os
AnsibleModule(argument_spec={}, supports_check_mode=True).exit_json(there=os.path.exists("/opt/kaspersky"))
"""
# What a role usually does to find out what is installed.
USUAL = """\
- hosts: all
  gather_facts: true
  tasks:
    - ansible.builtin.package_facts:
    - ansible.builtin.service_facts:
    - ansible.builtin.stat: {path: /opt/kaspersky}
    - ansible.builtin.stat: {path: /var/opt/kaspersky}
    - ansible.builtin.find: {paths: /opt, patterns: "kaspersky*", file_type: directory}
"""
# One ssh a host; the answers go to a file each, since somebody has to keep them.
SSH_LOOP = """\
xargs -P {forks} -I % sh -c 'ssh {options} -o ControlPath="$BENCH_CONTROL/%h-%C" -i "$BENCH_KEY" root@% sh \\
  <"{script}" >"{out}/%"' <"{addresses}"
"""


class Contestants:
    """Writes what they need into the fleet's folder once, and makes their commands."""

    def __init__(self, fleet: Fleet, forks: int) -> None:
        self.fleet, self.forks = fleet, forks
        self.folder = fleet.folder
        self._runs = 0
        self.script = self.folder / "observe.sh"
        self.script.write_text(payload())
        (self.folder / "library").mkdir()
        (self.folder / "library" / "bench_probe.py").write_text(PROBE)
        tasks = {
            "raw-true": "    - ansible.builtin.raw: 'true'\n",
            "raw": f"    - ansible.builtin.raw: \"{{{{ lookup('ansible.builtin.file', '{self.script}') }}}}\"\n",
            "scan": "    - evict.kaspersky.scan:\n",
            "probe": "    - bench_probe:\n",
        }
        for name, text in tasks.items():
            (self.folder / f"{name}.yml").write_text(PLAY + text)
        (self.folder / "setup.yml").write_text("- hosts: all\n  gather_facts: true\n  tasks: []\n")
        (self.folder / "usual.yml").write_text(USUAL)

    NAMES: t.ClassVar[dict[str, str]] = {
        "scan": "this collection: the task `scan`",
        "audit": "this collection: the playbook `audit`",
        "raw": "`raw` with the same script",
        "ssh": "plain parallel ssh with the same script",
        "raw-true": "`raw: true`, the floor of Ansible",
        "probe": "a module of five lines",
        "setup": "`setup` (gather_facts)",
        "usual": "the usual role",
    }

    def command(self, name: str, number: int) -> list[str]:
        """The command of one contestant for so many hosts."""
        self._runs += 1
        if name == "ssh":
            return self._ssh(number)
        play = "evict.kaspersky.audit" if name == "audit" else str(self.folder / f"{name}.yml")
        words = [sys.executable, "-m", "ansible", "playbook", play, "-i", str(self.fleet.inventory(number))]
        words += ["--forks", str(self.forks)]
        if name in ("scan", "audit"):
            words += ["-e", f"evict_out={self.folder}/run-{self._runs}"]
            words = ["env", "ANSIBLE_CALLBACKS_ENABLED=evict.kaspersky.rows", *words]
        return words

    def _ssh(self, number: int) -> list[str]:
        addresses = self.folder / f"addresses-{number}"
        addresses.write_text("".join(f"{self.fleet.address(n)}\n" for n in range(number)))
        out = self.folder / f"ssh-{self._runs}"
        os.mkdir(out)
        options = f"{SSH} {OPTIONS}"
        text = SSH_LOOP.format(forks=self.forks, options=options, script=self.script, out=out, addresses=addresses)
        return ["sh", "-c", text]


def payload() -> str:
    """What a host is sent, as the verb sends it."""
    values = {key.upper(): "\n".join(items) for key, items in knowledge.catalog().literals("linux").items()}
    return (
        script.assignments({**values, "TIMEOUT": "20", "NONCE": "evict-" + "0" * 24}, "EVICT_") + knowledge.OBSERVE_SH
    )
