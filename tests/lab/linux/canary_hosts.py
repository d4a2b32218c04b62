# SPDX-License-Identifier: GPL-3.0-or-later
"""A vendor's program that repeats its secret in every form it can, and all places of a lab host where one could be."""

from __future__ import annotations

import os
import random
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests import canary

from . import snapshot
from .dying import Line
from .lab import Host
from .snapshot import Snapshot

REGISTER = "/srv/vendor/register"
SLOW = "/srv/vendor/slow"  # where this is, it takes its time
FAILS = "/srv/vendor/fails"  # where this is, it fails in the end
_BASE = "var/lib/evict.kaspersky"


def made() -> str:
    """A new secret, with all that quoting and encodings change, and no part that comes about by chance."""
    chance = random.SystemRandom()
    first, last = ("".join(chance.choices(string.ascii_lowercase, k=9)) for _ in range(2))
    return f"{first}-9f'3\"a &+/ü<%$x>-{last}"


def vendor(host: Host, *marks: str) -> None:
    """Put the program on a host.

    Args:
        host: the host.
        marks: SLOW, FAILS.
    """
    script = f"""#!/bin/sh
# register enrol SECRET
secret=$2
hex() {{ od -An -v -tx1 | tr -d ' \\n'; }}
wide() {{ iconv -f utf-8 -t utf-16le; }}
repeat() {{
  printf 'token %s is not known\\n' "$secret"
  printf 'hex %s\\n' "$(printf %s "$secret" | hex)"
  printf 'HEX %s\\n' "$(printf %s "$secret" | hex | tr a-f A-F)"
  printf 'wide hex %s\\n' "$(printf %s "$secret" | wide | hex)"
  printf 'Authorization: Basic %s\\n' "$(printf 'user:%s' "$secret" | base64 -w 0)"
  printf 'base64 %s\\n' "$(printf %s "$secret" | base64 -w 0)"
  printf 'wide base64 %s\\n' "$(printf %s "$secret" | wide | base64 -w 0)"
  printf 'GET /?token=%s\\n' "$(printf %s "$secret" | hex | sed 's/../%&/g')"
  printf '{{"token": "%s"}}\\n' "$(printf %s "$secret" | sed 's/["\\\\]/\\\\&/g')"
  printf %s "$secret" | wide
  printf '\\ntoken %s is not known\\n' "$secret"
}}
repeat
repeat >&2
[ ! -e {SLOW} ] || sleep 25
[ ! -e {FAILS} ] || exit 7
"""
    host.run(f"mkdir -p /srv/vendor; cat >{REGISTER}; chmod 755 {REGISTER}", stdin=script)
    for mark in marks:
        host.run(f": >{mark}")


def root_of(host: Host) -> Path:
    """The running host's root, as the machine has it."""
    return Path("/proc", host.lab.fleet("pid", host.name).stdout.strip(), "root")


def left_on(host: Host, before: Snapshot) -> dict[str, bytes]:
    """Name -> content of all that a host shows: what changed, all of ours, its journal, plain and as it is read.

    Args:
        host: the host.
        before: all its files, before.
    """
    root, found = root_of(host), {}
    changed = [change.path for change in snapshot.diff(before, host.snapshot()) if change.after is not None]
    for path in changed:
        file = Path(f"{root}{path}")
        if file.is_file() and not file.is_symlink():
            found[path] = file.read_bytes()
    found["names of files"] = "\n".join(changed).encode()
    found["journal of systemd"] = host.run("journalctl --no-pager -a -o export").stdout.encode()
    found["messages of the kernel"] = host.run("dmesg || :").stdout.encode()
    for file in sorted((root / _BASE / "jobs").glob("*/*/journal*")):
        found[f"read: {file.relative_to(root)}"] = b"\n".join(read(file.read_text().splitlines()))
    return found


def read(journal: list[str]) -> Iterator[bytes]:
    """The lines of a job's journal as a person reads them: values in hex are opened."""
    for text in journal:
        if text.endswith(" ."):
            yield repr(Line.of(text).fields).encode() + "\n".join(Line.of(text).fields.values()).encode()


def in_memory(host: Host) -> list[str]:
    """Names of what is in the folder for secrets, where there is one."""
    folder = root_of(host) / "run/evict.kaspersky"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def hits(where: Path | Mapping[str, str | bytes], secrets: Mapping[str, str]) -> list[str]:
    """Where which secret is, in which form.

    Args:
        where: as for canary.search.
        secrets: name -> secret.
    """
    return [f"{name} in {hit}" for name, secret in secrets.items() for hit in canary.search(where, secret)]
