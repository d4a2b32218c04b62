# SPDX-License-Identifier: GPL-3.0-or-later
"""A canary secret used everywhere a secret can be, in right ways and in wrong ones, is found nowhere.

Real runs at -vvvv with a log file: audit, remediate in check mode, `evict plan`, ansible-runner. What is searched is
all they print and all they leave behind, in every form a secret can take; that the search finds each form is shown in
tests/unit/test_canary.py.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path
from urllib.parse import quote

import ansible_runner
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PREFLIGHT
from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import HIDDEN
from tests import canary, cases
from tests.e2e import playbooks
from tests.unit import test_observation as answers

SECRET = canary.SECRET
KEY = b"opens the vault"
WIDE = SECRET.encode("utf-16-le").hex()
ENDPOINTS: t.Final = ("packages.example", "database.clamav.net")
KESL = "R packages.dpkg name=kesl version=12.1.0.1297 arch=amd64 state=ii"
PROGRAM = "R paths path=/opt/kaspersky/kesl/libexec/kesl type=file executable=yes"


def sealed(text: str) -> str:
    """As `ansible-vault encrypt` writes it."""
    made: bytes = VaultLib([("default", VaultSecret(KEY))]).encrypt(text)
    return made.decode()


def answer(machine: int, *records: str) -> str:
    """Code of a stand-in for the host's shell: these records, and where a plan is asked for, nothing in its way."""
    if any("name=kesl" in record for record in records):
        records = (*records, PROGRAM)  # without it the package is in the way
    host = f"R host system=Linux os_id=debian os_version=12 arch=x86_64 machine_id={machine:032x} euid=0 init=systemd"
    probes = {record.split()[1]: "ok" for record in records}
    lines = [host, *records, *answers.whole(**probes)]
    told: dict[str, t.Any] = {name: probe.records for name, probe in cases.observe("linux").probes.items()}
    packages = knowledge.providers()["clamav"].platforms["linux"].packages["deb"]
    told["repository"] = [{"package": name, "candidate": "1.4.3", "installed": ""} for name in packages]
    told["egress"] = [{"endpoint": f"{name}:443", "state": "open", "detail": ""} for name in ENDPOINTS]
    more = []
    for name in PREFLIGHT["linux"]:
        found = [" ".join(f"{key}:{value.encode().hex()}" for key, value in record.items()) for record in told[name]]
        more += [*(f"R {name} {record}" for record in found), f"P {name} {'ok' if found else 'absent'}"]
    planned, audited = answers.frame(*lines, *more), answers.frame(*lines)
    choice = f"({planned!r} if 'EVICT_PREFLIGHT' in script else {audited!r})"
    return f"print({choice}.replace({answers.NONCE!r}, nonce))\n"


SETTINGS: t.Final[dict[str, t.Any]] = {
    "evict_replacement": {"linux": "falcon"},
    "evict_fallback": {"linux": "clamav"},
    "evict_fail_on": [],
    "evict_replacement_source": {
        "method": "url",
        "location": "https://packages.example/falcon-sensor_7.20.0_amd64.deb",
        "sha256": "0" * 64,
        "signer": "0" * 40,
        "name": "falcon-sensor_7.20.0_amd64.deb",
    },
}
# The sensor takes its secrets as arguments only, which needs a waiver.
WAIVER: t.Final = {
    "inhibitor": "secret_in_arguments",
    "groups": ["all"],
    "owner": "tests",
    "reason": "the vendor's tool takes them in no other way",
    "ticket": "T-1",
}
# Hosts that send the secret back, each in its own way.
HOSTS: t.Final = {
    "clean": answer(1),
    "kesl": answer(2, KESL),
    # It holds the secret itself, and says so among its records.
    "holder": answer(
        3, KESL, f"R units name=agent.service path:{f'/opt/x --token={SECRET}'.encode().hex()} state=running"
    ),
    "holder_wide": answer(4, f"R packages.dpkg name=kesl version={WIDE} arch=amd64 state=ii"),
    # It is no host at all, and repeats what it was given.
    "echo": f"print({f'sorry, {SECRET} is wrong'!r})\n",
    "echo_wide": f"print({f'KLUNINSTPASSWD={WIDE.upper()}'!r})\nsys.exit(1)\n",
    "echo_error": f"sys.stderr.write({f'bad login: {SECRET}'!r}); sys.exit(5)\n",
}


@dataclasses.dataclass(frozen=True)
class World:
    """A fleet and its secrets.

    Attributes:
        given: inventory, vaulted variables, files with secrets: what the user keeps, where secrets may be.
        left: working and home folder of the runs, where none may be.
    """

    given: Path
    left: Path

    def environment(self, name: str) -> dict[str, str]:
        """Of a run: home, temporary files and log are searched too."""
        for folder in ("home", "tmp"):
            (self.left / folder).mkdir(exist_ok=True)
        return playbooks.environment(
            HOME=str(self.left / "home"),
            TMPDIR=str(self.left / "tmp"),
            ANSIBLE_LOG_PATH=str(self.left / f"{name}.log"),
            ANSIBLE_VAULT_PASSWORD_FILE=str(self.given / "vault-key"),
        )

    def run(self, name: str, *command: str) -> tuple[int, str]:
        """Run a command of the project; exit code and all it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.left,
            env=self.environment(name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=540,
            check=False,
        )
        (self.left / f"{name}.out").write_bytes(done.stdout)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def args(self, name: str) -> list[str]:
        """Inventory, settings, run folder and -vvvv."""
        place = json.dumps({"evict_out": str(self.left / name), "evict_hosts": "all", "evict_consent": ["remove"]})
        settings = f"@{self.given / 'settings.yml'}"
        return ["-i", str(self.given / "hosts"), "-e", place, "-e", settings, "--diff", "-vvvv"]


def references(given: Path) -> dict[str, dict[str, dict[str, t.Any]]]:
    """`evict_secrets` for every secret that a product or a provider takes, by every way there is."""
    names: set[tuple[str, str, str]] = set()
    owners: list[t.Any] = [*knowledge.catalog().entries, *knowledge.providers().values()]
    for owner in owners:
        names |= {(owner.id, secret.name, secret.format) for secret in owner.secrets}
    ways: list[dict[str, t.Any]] = [
        {"variable": "vault_inline"},
        {"variable": "vault_whole"},
        {"variable": "vault_through"},
        {"file": str(given / "secret")},
        {"lookup": "ansible.builtin.unvault", "terms": [str(given / "sealed")]},
    ]
    found: dict[str, dict[str, dict[str, t.Any]]] = {}
    for number, (id, name, form) in enumerate(sorted(names)):
        found.setdefault(id, {})[name] = ways[number % len(ways)] | ({"format": "plain"} if form == "unknown" else {})
    assert len(names) > len(ways)
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A fleet of real and stand-in hosts, and a policy whose every secret is the canary."""
    given, left = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("left")
    variables = given / "group_vars" / "all"
    variables.mkdir(parents=True)
    (given / "vault-key").write_bytes(KEY)
    (given / "secret").write_text(SECRET + "\n")
    (given / "secret").chmod(0o600)
    (given / "sealed").write_text(sealed(SECRET))
    whole = dict.fromkeys(("vault_whole", "ansible_password", "ansible_become_password"), SECRET)
    (variables / "whole.yml").write_text(sealed(yaml.safe_dump(whole)))
    inline = "".join(f"  {line}\n" for line in sealed(SECRET).splitlines())
    named = yaml.safe_dump({"evict_secrets": references(given), "vault_through": "{{ vault_whole }}"})
    (variables / "names.yml").write_text(f"vault_inline: !vault |\n{inline}{named}")
    until = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)).date()
    (given / "waivers.yml").write_text(yaml.safe_dump({"schema": 1, "waivers": [{**WAIVER, "expires": until}]}))
    (given / "settings.yml").write_text(yaml.safe_dump({**SETTINGS, "evict_waivers": str(given / "waivers.yml")}))
    hosts = [
        f"{name} ansible_connection=local ansible_shell_executable={playbooks.stand_in(given / f'sh-{name}', code)}"
        for name, code in HOSTS.items()
    ]
    hosts += [
        "this ansible_connection=local",
        "as_root ansible_connection=local ansible_become=true ansible_become_method=sudo",
        "far_ssh ansible_host=127.0.0.1 ansible_port=1 ansible_user=admin",
        "far_winrm ansible_connection=winrm ansible_host=127.0.0.1 ansible_port=1 ansible_user=admin",
    ]
    (given / "hosts").write_text("\n".join(hosts) + "\n")
    return World(given, left)


def nowhere(world: World) -> None:
    """The canary is in nothing that the runs have left so far."""
    assert list(canary.search(world.left)) == []


def rows(world: World, name: str) -> dict[str, dict[str, t.Any]]:
    """The rows of a run by host."""
    data = json.loads((world.left / name / "rows.json").read_text())
    return {row["host"]: row for row in data["rows"]}


def test_an_audit_shows_no_secret(world: World) -> None:
    _code, said = world.run("audit", "ansible", "playbook", "evict.kaspersky.audit", *world.args("audit"))
    found = rows(world, "audit")
    assert found["clean"]["verdict"] == "absent", said[-3000:]
    assert {found[name]["verdict"] for name in ("kesl", "holder", "holder_wide")} == {"present"}
    assert {found[name]["verdict"] for name in HOSTS if name.startswith("echo")} == {"unknown"}
    assert HIDDEN in json.dumps(found["holder_wide"])  # it was there, and was taken out
    assert (world.left / "audit.log").stat().st_size > 10_000  # -vvvv and a log file indeed
    nowhere(world)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("remediate", ["ansible", "playbook", "evict.kaspersky.remediate", "--check"]),
        ("plan", ["evict", "plan"]),
    ],
)
def test_a_plan_shows_no_secret(world: World, name: str, command: list[str]) -> None:
    _code, said = world.run(name, *command, *world.args(name))
    plans = {path.stem: json.loads(path.read_text()) for path in (world.left / name / "plans").glob("*.json")}
    assert {"clean", "kesl", "holder"} <= set(plans), said[-3000:]
    for host in ("kesl", "holder", "holder_wide"):
        # Every secret could be had, and the steps name what they will be handed.
        assert plans[host]["state"] == "act"
        assert {hit["id"]: bool(hit["waived"]) for hit in plans[host]["inhibitors"]} == {"secret_in_arguments": True}
        named = {secret for step in plans[host]["steps"] for secret in step["secrets"].values()}
        assert named == {"falcon.TOKEN", "falcon.PROVISIONING"}
    nowhere(world)
    assert (world.left / name / "plan.json").is_file()


def test_ansible_runner_keeps_no_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    private = world.left / "runner"
    private.mkdir()
    environment = world.environment("runner")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}")
    done = ansible_runner.run(
        private_data_dir=str(private),
        playbook="evict.kaspersky.remediate",
        inventory=str(world.given / "hosts"),
        cmdline=f"--check -e @{world.given / 'settings.yml'}",
        extravars={"evict_out": str(world.left / "runner-run"), "evict_hosts": "all", "evict_consent": ["remove"]},
        envvars={name: environment[name] for name in ("HOME", "TMPDIR") if name in environment}
        | {name: value for name, value in environment.items() if name.startswith("ANSIBLE_")},
        verbosity=4,
        quiet=True,
    )
    events = list((Path(done.config.artifact_dir) / "job_events").glob("*.json"))
    assert len(events) > 10
    assert rows(world, "runner-run")["clean"]["observation_digest"]
    nowhere(world)


def test_ansible_runner_keeps_the_environment_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why docs/secrets.md forbids secrets in the environment; and the search finds what there is to find."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    done = ansible_runner.run(
        private_data_dir=str(tmp_path), module="ansible.builtin.ping", host_pattern="localhost", quiet=True,
        envvars={"EVICT_TEST_CANARY": SECRET},
    )  # fmt: skip
    hits = list(canary.search(Path(done.config.artifact_dir)))
    assert any(hit.startswith("command: ") for hit in hits)


# What is wrong in one run -> the settings, and words of each refusal.
WRONG: t.Final[dict[str, tuple[dict[str, t.Any], list[str]]]] = {
    "a secret as the whole": ({"evict_secrets": SECRET}, ["`evict_secrets`", "must name the secret, not hold it"]),
    "secrets": (
        {
            "evict_secrets": {
                "falcon": SECRET,
                "kes": {"KLLOGIN": SECRET, "KLPASSWD": {"value": SECRET}},
                "klnagent": {"KLUNINSTPASSWD": {"variable": SECRET}},
                "ksws": {"UNLOCK_PASSWORD": {"variable": "{{ vault_whole }}"}},
                "kics": {"UNLOCK_PASSWORD": {"lookup": "x", "options": {"token": SECRET}}},
                "kess": {"UNLOCK_PASSWORD": {"lookup": SECRET}},
                "sentinelone": {SECRET: {"variable": "x"}},
            }
        },
        [
            "at `falcon` must name the secret, not hold it",
            "at `kes.KLLOGIN` must name the secret, not hold it",
            "at `kes.KLPASSWD` must say where the secret is",
            "at `klnagent.KLUNINSTPASSWD.variable` must be the name of a variable",
            "at `ksws.UNLOCK_PASSWORD.variable` must be the name of a variable",
            "at `kics.UNLOCK_PASSWORD.options.token` must not hold a secret",
            "at `kess.UNLOCK_PASSWORD.lookup` must be the name of a lookup plugin",
            "at `sentinelone` must have names of secrets",
        ],
    ),
    "names": (
        {"evict_secrets": {"falcn": {"TOKEN": {"variable": "x"}}, "kes": {"KLPASWD": {"variable": "vault_whole"}}}},
        ["'falcn', which takes no secret; did you mean `falcon`?", "which kes does not take: did you mean `KLPASSWD`?"],
    ),
    "settings": (
        {
            "evict_replacement_settings": {"token": SECRET, "TOKEN": "{{ vault_whole }}"},
            "evict_fallback_settings": {"password": SECRET},
            "evict_proxy": f"http://user:{quote(SECRET, safe='')}@proxy:3128",
            "evict_replacement_source": {"method": "url", "location": f"https://x/y?token={quote(SECRET, safe='')}"},
            "evict_token": SECRET,
            # A setting that has nothing to do with secrets, and a secret that `evict_secrets` names.
            "evict_reboot": "{{ vault_inline }}",
        },
        [
            "`evict_replacement_settings` at `token`",
            "`evict_replacement_settings` at `TOKEN`",
            "`evict_fallback_settings` at `password`",
            "`evict_proxy` must not hold a login",
            "`evict_replacement_source` at `location`",
            "`evict_token` is no variable of this collection",
            "`evict_reboot` ",
        ],
    ),
    # All of them are right by their form; what they hold is known by `evict_secrets`.
    "texts": (
        {
            "evict_exclusions": [{"path": f"/srv/{SECRET}"}],
            "evict_replacement_source": {
                **SETTINGS["evict_replacement_source"],
                "location": f"https://packages.example/{quote(SECRET, safe='')}/falcon-sensor_7.20.0_amd64.deb",
            },
        },
        ["`evict_exclusions` holds a secret that", "`evict_replacement_source` holds a secret that"],
    ),
}


def test_a_secret_in_a_waiver_is_refused_without_being_shown(world: World, tmp_path: Path) -> None:
    world = dataclasses.replace(world, left=tmp_path)
    until = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)).date()
    waiver = {**WAIVER, "reason": f"the password is {SECRET}", "expires": until}
    (world.given / "told.yml").write_text(yaml.safe_dump({"schema": 1, "waivers": [waiver]}))
    more = ["-e", f"evict_waivers={world.given / 'told.yml'}", "--limit", "kesl", "--check"]
    code, said = world.run("run", "ansible", "playbook", "evict.kaspersky.remediate", *world.args("run"), *more)
    assert code != 0
    assert "`evict_waivers` holds a secret that" in said
    assert not list((world.left / "run").glob("plans/*.json"))
    nowhere(world)


@pytest.mark.parametrize("name", WRONG)
def test_a_secret_in_a_wrong_place_is_refused_without_being_shown(world: World, tmp_path: Path, name: str) -> None:
    world = dataclasses.replace(world, left=tmp_path)
    wrong, words = WRONG[name]
    (world.given / "wrong.yml").write_text(yaml.safe_dump(wrong))
    more = ["-e", f"@{world.given / 'wrong.yml'}", "--limit", "kesl,far_ssh", "--check"]
    code, said = world.run("run", "ansible", "playbook", "evict.kaspersky.remediate", *world.args("run"), *more)
    assert code != 0
    assert [one for one in words if one not in said] == []
    assert "Traceback" not in said
    assert not list((world.left / "run").glob("plans/*.json"))  # nobody was asked
    nowhere(world)


FAILING: t.Final[dict[str, tuple[dict[str, t.Any], str]]] = {
    "open_file": ({"file": "OPEN"}, "has mode 0644"),
    "value_as_name": ({"variable": "Kanarie_as_a_name"}, "its variable is not defined for this host"),
    "value_as_file": ({"file": f"/{SECRET}"}, "its file is not there or cannot be reached"),
    "value_as_term": ({"lookup": "ansible.builtin.file", "terms": [SECRET]}, "the lookup ansible.builtin.file failed"),
    "found_twice": ({"lookup": "ansible.builtin.list", "terms": [SECRET, SECRET]}, "exactly one is needed"),
}


def test_a_secret_that_cannot_be_had_blocks_and_is_not_shown(world: World, tmp_path: Path) -> None:
    world = dataclasses.replace(world, left=tmp_path)
    (world.given / "open").write_text(SECRET)
    (world.given / "open").chmod(0o644)
    hosts = {}
    for number, (name, (ref, _words)) in enumerate(FAILING.items(), 10):
        way = {"file": str(world.given / "open")} if name == "open_file" else ref
        fake = playbooks.stand_in(world.given / f"sh-{name}", answer(number, KESL))
        hosts[name] = {
            "ansible_connection": "local",
            "ansible_shell_executable": str(fake),
            "evict_secrets": {"falcon": {"TOKEN": way, "PROVISIONING": way}},
        }
    (world.given / "failing.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    args = ["-i", str(world.given / "failing.yml"), *world.args("run")[2:], "--check"]
    _code, said = world.run("run", "ansible", "playbook", "evict.kaspersky.remediate", *args)
    for name, (_ref, words) in FAILING.items():
        plan = json.loads((world.left / "run" / "plans" / f"{name}.json").read_text())
        assert plan["state"] == "blocked", said[-3000:]
        failing = [hit["diagnosis"] for hit in plan["inhibitors"] if hit["id"] == "secret_failing"]
        assert failing
        assert all(words in text for text in failing), failing
        assert "Kanarie_as_a_name" not in json.dumps(plan)
    nowhere(world)
