# SPDX-License-Identifier: GPL-3.0-or-later
"""Remediations of real hosts with secrets in every way there is, at -vvvv, and the secrets are found nowhere: not on
the controller, not on the hosts, not in any list of processes, though the vendor's program repeats what it is given."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests import canary
from tests.e2e import playbooks

from . import canary_hosts, fake_mdatp, remediating, takeover
from .canary_hosts import FAILS, REGISTER, SLOW
from .lab import Host, Lab
from .remediating import Remediation, Running, until
from .sampling import Sample, Samples
from .state import INSTALL, bring

KEY = "opens-the-vault"
# Host -> root, options, user, and the way of its token.
HOSTS: Mapping[str, tuple[str, tuple[str, ...], str, str]] = {
    "inline": ("deb12", (), "withpass", "variable"),
    "failing": ("deb12", ("requiretty",), "withpass", "file"),
    "killed": ("deb12", (), "withpass", "through"),
    "looked": ("rpm9", (), "withpass", "lookup"),
    "placed": ("deb12", (), "withpass", "lookup"),
}
PLACED = "placed"  # its product takes the secret in a file of its own, not as an argument
TOKENS = tuple(f"token of {name}" for name in HOSTS)
SECRETS = {name: canary_hosts.made() for name in ("login", *TOKENS)}
WAIVER = {
    "inhibitor": "secret_in_arguments",
    "groups": ["all"],
    "owner": "tests",
    "reason": "the vendor's tool takes it in no other way",
    "ticket": "T-1",
}


def sealed(text: str) -> str:
    """As `ansible-vault encrypt` writes it."""
    made: bytes = VaultLib([("default", VaultSecret(KEY.encode()))]).encrypt(text)
    return made.decode()


@dataclass
class World:
    """Hosts, what the user keeps (`given`: secrets may be there), and what runs leave (`left`: none may be there)."""

    lab: Lab
    given: Path
    left: Path
    hosts: dict[str, Host]
    before: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, Remediation] = field(default_factory=dict)
    rounds: int = 0
    samples: list[Sample] = field(default_factory=list)
    spaces: dict[str, str] = field(default_factory=dict)

    def words(self, name: str, *command: str) -> list[str]:
        """A command of the controller, its home, temporary files and log below `left`."""
        for folder in ("home", "tmp", "runs"):
            (self.left / folder).mkdir(exist_ok=True)
        environment = playbooks.environment(
            HOME=str(self.left / "home"),
            TMPDIR=str(self.left / "tmp"),
            ANSIBLE_LOG_PATH=str(self.left / f"{name}.log"),
            ANSIBLE_VAULT_PASSWORD_FILE=str(self.given / "vault-key"),
        )
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        return ["env", "-i", "-C", str(self.left), *(f"{key}={value}" for key, value in environment.items()), *command]

    def evict(self, name: str, *hosts: str) -> list[str]:
        """`evict remediate` at -vvvv over some hosts."""
        inventory = ["-i", str(self.given / "hosts.yml"), "--limit", ",".join(hosts)]
        settings = ["-e", f"@{self.given / 'settings.json'}", "--out", str(self.left / "runs" / name)]
        verbose = ["--diff", "-vvvv"]
        return self.words(name, sys.executable, "-m", "evict", "remediate", *inventory, *settings, *verbose)

    def run(self, name: str, words: list[str]) -> None:
        """To its end."""
        done = self.lab.command(*words, check=False, patience=540)
        (self.left / f"{name}.out").write_text(done.stdout + done.stderr)
        folder = self.left / "runs" / name
        self.runs[name] = Remediation(playbooks.Run(done.returncode, done.stdout + done.stderr, folder))


def inventory(given: Path, hosts: Mapping[str, Host], policies: Mapping[str, Mapping[str, Any]]) -> None:
    """The fleet as its owner writes it down: names of secrets in the inventory, secrets in vaults and in files."""
    found: dict[str, Any] = {}
    for name, host in hosts.items():
        _root, _options, user, way = HOSTS[name]
        token = SECRETS[f"token of {name}"]
        mine: dict[str, str] = {"ansible_become_password": SECRETS["login"]}
        if name == "failing":
            mine["ansible_password"] = SECRETS["login"]
        folder = given / "host_vars" / name
        folder.mkdir(parents=True)
        ref: dict[str, Any] = {"variable": "vault_token"}
        if way == "variable":
            inline = "".join(f"  {line}\n" for line in sealed(token).splitlines())
            (folder / "inline.yml").write_text(f"vault_token: !vault |\n{inline}")
        elif way == "through":
            (folder / "through.yml").write_text("vault_token: '{{ vault_whole }}'\n")
            mine["vault_whole"] = token
        elif way == "file":
            file = given / "token"
            file.write_text(token + "\n")
            file.chmod(0o600)
            ref = {"file": str(file)}
        else:
            (folder.parent / f"sealed-{name}").write_text(sealed(token))
            ref = {"lookup": "ansible.builtin.unvault", "terms": [str(folder.parent / f"sealed-{name}")]}
        (folder / "whole.yml").write_text(sealed(yaml.safe_dump(mine)))
        variables = host.vars(user=user, become=True, proxy=False)
        del variables["ansible_become_password"]
        if "ansible_password" in mine:
            del variables["ansible_ssh_private_key_file"]
        named = {"mde_linux": {"ONBOARDING": ref}} if name == PLACED else {"package": {"TOKEN": ref}}
        found[name] = {**variables, **policies[name], "evict_secrets": named}
    (given / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": found}}))


@pytest.fixture(scope="module")
def world(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All the runs, one beside the other; one controller is killed while the vendor's program has the secret."""
    given, left = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("left")
    hosts = {name: linux_lab.up(f"c{n}", HOSTS[name][0], *HOSTS[name][1]) for n, name in enumerate(HOSTS)}
    linux_lab.wait(*hosts.values())
    found = World(linux_lab, given, left, hosts)
    policies: dict[str, Mapping[str, Any]] = {}

    def make(name: str) -> None:
        host = hosts[name]
        bring(host, INSTALL, ["kesl"])
        host.run("chpasswd", stdin=f"withpass:{SECRETS['login']}\n")
        if name == PLACED:
            policies[name] = fake_mdatp.offer(host)
        else:
            canary_hosts.vendor(host, *{"failing": (FAILS,), "killed": (SLOW,)}.get(name, ()))
            policy = takeover.installed(host)
            told = {"configure_program": REGISTER, "configure_arguments": ["enrol", "@TOKEN@"]}
            settings = {**policy["evict_replacement_settings"], **told}
            policies[name] = {**policy, "evict_replacement_settings": settings}
        found.spaces[name] = (canary_hosts.root_of(host).with_name("ns") / "pid").readlink().name
        found.before[name] = host.snapshot()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, hosts))
    inventory(given, hosts, policies)
    (given / "vault-key").write_text(KEY)
    tomorrow = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)).date()
    (given / "waivers.yml").write_text(yaml.safe_dump({"schema": 1, "waivers": [{**WAIVER, "expires": tomorrow}]}))
    settings = {**remediating.CONSENT, "evict_waivers": str(given / "waivers.yml")}
    (given / "settings.json").write_text(json.dumps(settings))

    def runner() -> None:
        private = left / "runner"
        private.mkdir()
        more = f"--limit looked --diff -e @{given / 'settings.json'} -e evict_out={left / 'runs' / 'runner'}"
        command = [str(Path(sys.executable).with_name("ansible-runner")), "run", str(private), "-vvvv"]
        command += ["-p", "evict.kaspersky.remediate", "--inventory", str(given / "hosts.yml"), "--cmdline", more]
        found.run("runner", found.words("runner", *command))

    def killed() -> None:
        running = Running(linux_lab, left, found.evict("killed", "killed"))
        slow = f"pgrep -f '^/bin/sh {REGISTER}'"
        until(lambda: hosts["killed"].run(slow, check=False).returncode == 0, "the program does not run", 300, 0.5)
        running.kill()
        until(lambda: hosts["killed"].run(slow, check=False).returncode != 0, "the program does not end", 60, 0.5)
        found.run("after", found.evict("after", "killed"))

    (left / "runs").mkdir()
    with Samples(given / "samples.json") as samples, ThreadPoolExecutor(3) as pool:
        for one in [
            pool.submit(runner),
            pool.submit(killed),
            pool.submit(found.run, "evict", found.evict("evict", "inline", "failing", "placed")),
        ]:
            one.result()
    found.rounds, found.samples = samples.seen()
    yield found
    for host in hosts.values():
        host.down()


RUN_OF = {"inline": "evict", "failing": "evict", "placed": "evict", "killed": "after", "looked": "runner"}


@pytest.mark.parametrize("name", HOSTS)
def test_the_host_was_remediated_with_its_secret(world: World, name: str) -> None:
    """Without this the search would search for what was never there."""
    run = world.runs[RUN_OF[name]]
    row = run.row(name)
    assert row["verdict"] == "replaced_unproved" or name in ("failing", PLACED), run.run.out[-3000:]
    handed = [step for step in run.plan(name).steps if step.secrets]
    assert [step.kind for step in handed] == ["write_file" if name == PLACED else "run"]
    told = {one.step: one for one in run.outcomes(name)}[handed[0].id]
    assert told.status == ("failed" if name == "failing" else "done")
    assert list(run.failures(name)) == ([handed[0].id] if name == "failing" else [])
    if name == "failing":
        assert told.failure is not None
        assert (told.failure.kind, told.failure.code) == ("program_failed", "7")
        assert "***" in told.failure.meaning  # it repeated the secret, and that was taken out
        assert any("program_failed" in reason for reason in row["reasons"]), row


def test_the_controller_keeps_and_shows_no_secret(world: World) -> None:
    """All output at -vvvv, log files, run folders, artifacts of the runner, homes and temporary files."""
    for log in ("evict.log", "killed.log", "after.log", "runner.log"):
        assert (world.left / log).stat().st_size > 10_000
    assert len(list((world.left / "runner").glob("artifacts/*/job_events/*.json"))) > 10
    assert canary_hosts.hits(world.left, SECRETS) == []


@pytest.mark.parametrize("name", HOSTS)
def test_the_journal_in_the_evidence_holds_no_secret(world: World, name: str) -> None:
    lines = [line for data in world.runs[RUN_OF[name]].events(name, "performed") for line in data["journal"]]
    assert lines
    assert canary_hosts.hits({"journal": b"\n".join(canary_hosts.read(lines))}, SECRETS) == []


@pytest.mark.parametrize("name", HOSTS)
def test_the_host_keeps_no_secret(world: World, name: str) -> None:
    host = world.hosts[name]
    said = canary_hosts.left_on(host, world.before[name])
    logs = b"".join(text for path, text in said.items() if path.endswith(("/stage/log", "/commit/log")))
    if name == PLACED:
        # Where it belongs, for root alone, and nowhere else.
        assert said.pop(fake_mdatp.PLACE).decode() == SECRETS[f"token of {name}"]
        assert host.run(f"stat -c '%a %U' {fake_mdatp.PLACE}").stdout == "600 root\n"
    assert (b"onboarded with ***" if name == PLACED else b"token *** is not known") in logs
    assert any(path.startswith("read: ") for path in said)
    assert canary_hosts.hits(said, SECRETS) == []
    assert canary_hosts.in_memory(host) == []


def test_only_the_vendors_own_program_shows_the_secret_to_others(world: World) -> None:
    """The waiver is for this argument of this program on this host; nothing else in any list of processes has it."""
    shown: dict[str, list[Sample]] = {}
    for name, secret in SECRETS.items():
        forms = canary.forms(secret).values()
        if seen := [sample for sample in world.samples if any(form in sample.data for form in forms)]:
            shown[name] = seen
    assert world.rounds > 100
    for name, samples in shown.items():
        host = name.removeprefix("token of ")
        assert host in HOSTS, samples
        program = [REGISTER, "enrol", SECRETS[name]]
        for sample in samples:
            assert sample.kind == "cmdline"
            assert sample.space == world.spaces[host]
            # `setsid` is what the program's own process is for a moment before it becomes the program.
            assert sample.words in (["/bin/sh", *program], ["setsid", *program])
    # It was there to be seen.
    assert "token of killed" in shown


# --- the search finds what is there to be found


def test_a_secret_that_a_process_shows_is_seen(tmp_path: Path, linux_lab: Lab, shared_hosts: dict[str, Host]) -> None:
    one, two = canary_hosts.made(), canary_hosts.made()
    with Samples(tmp_path / "samples") as samples:
        shared_hosts["deb12"].run('read -r x; sh -c "sleep 2; :" sh "$x"', stdin=f"{one}\n")
        subprocess.run(["sleep", "2"], env={"HIDDEN": two}, check=True)
    _rounds, seen = samples.seen()
    assert [sample.words[-1] for sample in seen if canary.found(sample.data, one)][:1] == [one]
    assert {sample.kind for sample in seen if canary.found(sample.data, two)} == {"environ"}


def test_a_secret_that_a_host_keeps_is_found(shared_hosts: dict[str, Host]) -> None:
    host, secret = shared_hosts["deb13"], canary_hosts.made()
    before = host.snapshot()
    places = "/var/log/vendor.log /run/vendor /dev/shm/vendor /var/lib/evict.kaspersky/jobs/0/commit/log"
    written = secret.encode().hex()
    script = f"read -r x; mkdir -p /var/lib/evict.kaspersky/jobs/0/commit; for f in {places}; do echo $x >$f; done"
    host.run(f"{script}\necho note id=x key=y value:{written} . >/var/lib/evict.kaspersky/jobs/0/commit/journal.1\n"
             f"systemd-cat -t vendor echo {written}; journalctl --sync", stdin=f"{secret}\n")  # fmt: skip
    time.sleep(1)
    try:
        said = canary_hosts.hits(canary_hosts.left_on(host, before), {"it": secret})
    finally:
        host.run(f"rm -r /var/lib/evict.kaspersky {places.rpartition(' ')[0]}")
    where = {hit.partition(" in ")[2].partition(": plain")[0] for hit in said}
    assert {*places.split(), "journal of systemd"} <= where
    assert "read: var/lib/evict.kaspersky/jobs/0/commit/journal.1" in where
