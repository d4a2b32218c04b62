# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight probes on real hosts of both package families: what they tell, and that nothing changes."""

from __future__ import annotations

import shlex

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, observation, policy, preflight
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import Observation

from . import snapshot
from .conftest import Fresh
from .lab import Host

NONCE = "evict-00112233445566778899aabb"
# A process that holds a lock as package managers do (fcntl), until the host is reset.
HOLD = """perl -e 'use Fcntl; open(my $f,">>","{file}") or die; my $l=pack("s s x4 q q i x4",F_WRLCK,0,0,0,0);
fcntl($f,F_SETLK,$l) or die; open(my $r,">","/run/held"); close($r); sleep 600' </dev/null >/dev/null 2>&1 &
for i in 1 2 3 4 5 6 7 8 9; do [ -e /run/held ] || sleep 0.3; done; rm /run/held
"""


def ask(host: Host, **more: list[str]) -> Observation:
    """One round trip with all that a plan asks, as the scan does it."""
    literals = preflight.ask(policy.Policy(), None, None, knowledge.catalog(), "linux", 22) | more
    values = {"NONCE": NONCE, "TIMEOUT": "20", **{f"PREFLIGHT_{k.upper()}": "\n".join(v) for k, v in literals.items()}}
    head = "".join(f"EVICT_{k}={shlex.quote(v)}\n" for k, v in values.items())
    done = host.run("exec /bin/sh", stdin=head + knowledge.OBSERVE_LINUX_PLAN)
    seen = observation.parse_posix(done.stdout, NONCE, preflight=True)
    assert seen is not None, done
    return seen


def told(seen: Observation, probe: str, **wanted: str) -> list[dict[str, str]]:
    return [dict(r) for r in seen.probes[probe].records if all(r.get(k) == v for k, v in wanted.items())]


@pytest.mark.parametrize(("root", "manager"), [("deb12", "apt"), ("rpm9", "dnf")])
def test_a_clean_host(root: str, manager: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    before = host.snapshot()
    seen = ask(
        host, packages=[f"{manager}:clamav"], endpoints=["127.0.0.1:22", "127.0.0.1:1", "no-such-host.invalid:1"]
    )
    changes = snapshot.not_allowed(snapshot.diff(before, host.snapshot()))
    assert changes == []
    assert told(seen, "manager") == [{"kind": "manager", "name": manager}]
    assert seen.probes["manager"].status == "ok", seen.probes["manager"]
    states = {r["endpoint"]: r["state"] for r in told(seen, "egress")}
    assert states == {"127.0.0.1:22": "open", "127.0.0.1:1": "refused", "no-such-host.invalid:1": "unresolved"}
    assert told(seen, "enforcement", kind="selinux") == []
    assert told(seen, "space", path="/") != []
    assert {"systemctl", "setsid"} <= {r["name"] for r in told(seen, "tools")}
    assert seen.probes["repository"].status == "unknown", "the lists of a lab host are empty"
    unknown = {name: p.reason for name, p in seen.probes.items() if p.status == "unknown" and name != "repository"}
    assert unknown == {}, unknown


@pytest.mark.parametrize(
    ("root", "lock"), [("deb12", "/var/lib/dpkg/lock-frontend"), ("rpm9", "/var/lib/rpm/.rpm.lock")]
)
def test_a_manager_that_is_busy(root: str, lock: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    if host.run("command -v perl", check=False).returncode:
        pytest.fail(f"{root} has no perl to hold a lock with")
    host.run(HOLD.format(file=lock))
    assert [(r["what"], r["program"]) for r in told(ask(host), "manager", kind="busy")] == [(lock, "perl")]


def test_a_package_that_is_half_configured_and_one_that_is_held(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run("mkdir -p /etc/fake-kaspersky; : >/etc/fake-kaspersky/postinst-fail")
    host.install("kesl", check=False)
    host.run("apt-mark hold sudo")
    seen = ask(host)
    assert told(seen, "manager", kind="broken") == [{"kind": "broken", "package": "kesl", "status": "half-configured"}]
    assert [r["package"] for r in told(seen, "manager", kind="held")] == ["sudo"]


def test_mounts_below_the_product_and_without_programs(fresh_host: Fresh) -> None:
    host = fresh_host("rpm9")
    host.install("kesl")
    host.run(
        "mkdir -p /var/opt/kaspersky/kesl/extra; mount -t tmpfs -o noexec x /var/opt/kaspersky/kesl/extra; "
        "mount -t tmpfs -o noexec,size=16m y /opt"
    )
    seen = ask(host)
    assert [r["path"] for r in told(seen, "obstacles", kind="mount")] == ["/var/opt/kaspersky/kesl/extra"]
    (opt,) = told(seen, "space", path="/opt")
    assert (opt["free_mib"], "noexec" in opt["options"].split(",")) == ("16", True)


def test_a_file_that_nobody_may_change(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    file = "/opt/kaspersky/kesl/evict-locked"
    host.run(f": >{file}")
    if host.run(f"chattr +i {file}", check=False).returncode:
        pytest.skip("no marks on the file system of this lab: immutable files")
    try:
        found = told(ask(host), "obstacles", kind="immutable")
    finally:
        host.run(f"chattr -i {file}")
    assert found == [{"kind": "immutable", "path": file, "detail": "immutable"}]
