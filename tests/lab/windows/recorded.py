# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Windows hand answers, as `tests/fixtures/windows` keeps it: the same answer on every machine and every day.

`EVICT_RECORD=1` with the lab's tests writes the files again; without it the tests hold them to what the hand answers.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "windows"
# What differs from lab to lab and says nothing about a product.
HOST = {"hostname": "lab-host", "machine_id": "4b3f0a52-1111-4111-8111-000000000001", "user": r"LAB\admin"}


def of_evidence(file: Path) -> dict[str, Any]:
    """The observation in a host's evidence file."""
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["event"] == "scan":
            observation = record["data"]["observation"]
            assert isinstance(observation, dict)
            return observation
    raise AssertionError(f"{file}: no scan")


def steady(observation: dict[str, Any]) -> dict[str, Any]:
    """The observation without what differs from lab to lab: names of the host, process ids, the patch of PowerShell,
    the thumbprint of a certificate made for the test."""
    copy: dict[str, Any] = json.loads(json.dumps(observation))
    for host in (copy["host"], *copy["probes"]["host"]["records"]):
        host.update({name: value for name, value in HOST.items() if name in host})
        host["powershell"] = re.sub(r"^(\d+).*", r"\1", host["powershell"])
    processes = sorted(copy["probes"]["processes"]["records"], key=lambda one: (one["path"], one["name"]))
    for number, one in enumerate(processes, start=1):
        one["pid"] = str(1000 + number)
    copy["probes"]["processes"]["records"] = processes
    for one in copy["probes"]["sessions"]["records"]:
        one["user"] = HOST["user"]
    for one in copy["probes"]["certificates"]["records"]:
        one["thumbprint"] = "0" * 40
    return copy


def text(observation: dict[str, Any]) -> str:
    """How a fixture is written."""
    return json.dumps(observation, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def record(name: str, observation: dict[str, Any]) -> None:
    """Write `<name>.json` anew when `EVICT_RECORD` is set."""
    if os.environ.get("EVICT_RECORD", "") not in ("", "0"):
        (FOLDER / f"{name}.json").write_text(text(steady(observation)), encoding="utf-8")


def compare(name: str, observation: dict[str, Any]) -> None:
    """Hold `<name>.json` to an observation."""
    file = FOLDER / f"{name}.json"
    assert file.is_file(), f"{file} is missing: make it with EVICT_RECORD=1"
    assert json.loads(file.read_text(encoding="utf-8")) == steady(observation)
