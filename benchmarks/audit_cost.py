# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit costs, as ratios of one run: python -m benchmarks.audit_cost [HOSTS]. Needs root and the Linux lab.

One real host of the lab answers on as many addresses as asked for; the controller runs in the lab, over real ssh.
Wall times on loopback measure the processors, so only the ratios mean something.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.lab.linux.lab import Lab

NAIVE = """
- hosts: all
  gather_facts: true
  tasks:
    - ansible.builtin.package_facts:
    - ansible.builtin.service_facts:
    - ansible.builtin.stat: {path: /opt/kaspersky}
    - ansible.builtin.stat: {path: /var/opt/kaspersky}
    - ansible.builtin.find: {paths: /opt, patterns: "kaspersky*", file_type: directory}
"""
SETUP = "- hosts: all\n  gather_facts: true\n  tasks: []\n"
RAW = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.raw: 'true'\n"


def main(number: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder, Lab("benchmark") as lab:
        where = Path(folder)
        host = lab.up("one", "deb12", ip="lab")
        lab.wait(host)
        names = {
            f"h{n}": host.vars(proxy=False, ansible_host=f"127.10.{n // 250}.{n % 250 + 1}") for n in range(number)
        }
        for variables in names.values():
            variables["ansible_ssh_common_args"] = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
            variables["ansible_python_interpreter"] = "/usr/bin/python3"
        inventory = lab.inventory(where / "hosts", names)
        plays = {}
        for name, text in {"raw true": RAW, "gather_facts": SETUP, "naive role": NAIVE}.items():
            plays[name] = where / f"{name.split()[0]}.yml"
            plays[name].write_text(text)
        seconds = {}
        for name, play in {"raw true": plays["raw true"], "this audit": "evict.kaspersky.audit", **plays}.items():
            settings = [
                f"ANSIBLE_SSH_CONTROL_PATH_DIR={where}/cp-{len(seconds)}",
                "ANSIBLE_PIPELINING=true",
                f"ANSIBLE_LOCAL_TEMP={where}/tmp",
            ]
            command = ["env", *settings, sys.executable, "-m", "ansible", "playbook", str(play)]
            command += ["-i", str(inventory), "--forks", "20", "-e", f"evict_out={where}/run-{len(seconds)}"]
            start = time.monotonic()
            lab.command("sh", "-c", 'cd "$0" && exec "$@"', str(where), *command, patience=900)
            seconds[name] = time.monotonic() - start
        base = seconds["this audit"]
        print(f"{number} hosts, 20 forks, one controller; this audit = 1")
        for name, took in seconds.items():
            print(f"  {name:<14} {took / number * 1000:7.0f} ms a host   {took / base:5.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
