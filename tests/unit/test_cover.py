# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of providers as steps: every provider, family, way and setting, and nothing left to fill."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t
from collections.abc import Iterator, Mapping

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import cover, knowledge, templates
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.cover import Cover
from ansible_collections.evict.kaspersky.plugins.plugin_utils.filling import Role
from ansible_collections.evict.kaspersky.plugins.plugin_utils.job import compile_job
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Exclusion, Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Provider, Source
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers_check import allowed, plural
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import KINDS
from tests import cases

PROVIDERS: t.Final[Mapping[str, Provider]] = knowledge.providers()
HASH: t.Final = "0123456789abcdef" * 4
MANAGERS: t.Final = {"apt": "deb", "dnf": "rpm", "yum": "rpm", "zypper": "rpm"}
EXCLUSIONS: t.Final = (
    Exclusion("path", "/var/lib/my db"),
    Exclusion("process", "/usr/sbin/dbserver"),
    Exclusion("extension", ".ibd"),
)
# What a user must say for the provider to do anything; settings of both platforms.
NEEDED: t.Final[Mapping[str, Mapping[str, t.Any]]] = {
    "package": {
        "service_names": ["other.service"],
        "package_names": ["other-av"],
        "active_program": "/opt/other/ctl",
        "active_arguments": ["status"],
        "active_contains": "protected",
        "mirror_suite": "stable main",
        "mirror_key": "/usr/share/keyrings/other.gpg",
        "msi_property": "SITE",
    },
    "existing": {"service_names": ["other.service"]},
    "clamav": {"mirror_suite": "bookworm main", "mirror_key": "/usr/share/keyrings/debian-archive-keyring.gpg"},
    "mde_linux": {"mirror_suite": "bookworm main", "mirror_key": "/usr/share/keyrings/microsoft.gpg"},
}


def make(
    id: str,
    *,
    manager: str = "apt",
    platform: str = "",
    method: str = "",
    suffix: str = "",
    role: Role = "replacement",
    settings: Mapping[str, t.Any] | None = None,
    server: bool = True,
    secrets: tuple[str, ...] | None = None,
    feature: str = "installed",
    **changes: t.Any,
) -> Case:
    """A case with a provider of the catalog."""
    provider = PROVIDERS[id]
    platform = platform or ("linux" if "linux" in provider.platforms else "windows")
    source = None
    if method:
        name = f"agent.{suffix}" if suffix else ""
        hashed = HASH if method not in ("repository", "mirror") else ""
        place = {"url": "https://files.example/", "share": r"\\files\share\ ".strip(), "file": "/srv/controller/"}
        location = place.get(method, "/var/cache/") + name
        if method in ("repository", "mirror"):
            location = "https://mirror.example/debian" if method == "mirror" else ""
        source = Source(method=method, location=location, sha256=hashed, signer="CN=Other", name=name)  # type: ignore[arg-type]
    own = dict(NEEDED.get(id, {})) | dict(settings or {})
    named = [s.name for s in provider.secrets if s.required] if secrets is None else list(secrets)
    policy = {
        f"{role}_settings": own,
        f"{role}_source": source,
        "secrets": {id: {name: cases.secret() for name in named}} if named else {},
        **changes,
    }
    other = PROVIDERS["clamav" if platform == "linux" else "defender_av"]
    probes = {"manager": [{"kind": "manager", "name": manager}]} if platform == "linux" else None
    if platform == "windows":
        probes = {"defender": [{"property": "feature", "value": feature}] if feature else []}
    return cases.case(
        platform,
        products=(),
        policy=policy,
        probes=probes,
        family=MANAGERS[manager],
        facts={"product_type": "server" if server else "workstation"} if platform == "windows" else None,
        replacement=provider if role == "replacement" else PROVIDERS["none"],
        fallback=provider if role == "fallback" else other,
    )


def ways(id: str) -> Iterator[tuple[str, str, str, str]]:
    """(platform, manager, method, suffix) of all ways a provider may come."""
    for platform, own in PROVIDERS[id].platforms.items():
        managers = tuple(MANAGERS) if platform == "linux" else ("apt",)
        for manager, method in itertools.product(managers, own.methods or ("",)):
            if method in ("", "repository", "mirror"):
                yield platform, manager, method, ""
            elif platform == "windows":
                yield from ((platform, manager, method, suffix) for suffix in ("msi", "exe"))
            else:
                yield platform, manager, method, "tar" if id == "clamav" else MANAGERS[manager]


def settings_of(id: str) -> Iterator[dict[str, t.Any]]:
    """Every switch and choice of a provider in every position, one at a time and all texts and lists filled."""
    provider = PROVIDERS[id]
    yield {}
    for name, setting in provider.settings.items():
        if setting.type == "switch":
            yield {name: not setting.default}
        yield from ({name: choice} for choice in setting.choices)
    filled: dict[str, t.Any] = {}
    for name, setting in provider.settings.items():
        if setting.type == "list" and name not in NEEDED.get(id, {}):
            filled[name] = {"on_access_paths": ["/home", "/srv"], "databases": ["main.cvd", "daily.cvd"]}.get(
                name, ["https://own.example/a.ndb"] if name == "database_urls" else ["3010"]
            )
        elif setting.type == "url":
            filled[name] = "https://mirror.example/clamav"
    for name in ("reach", "cloud", "console"):
        if name in filled:
            filled[name] = ["service.example:443"]
    yield filled
    for name, setting in provider.settings.items():
        if setting.type == "switch":
            yield {**filled, name: not setting.default}
        yield from ({**filled, name: choice} for choice in setting.choices)


ROLES: t.Final[tuple[Role, ...]] = ("replacement", "fallback")


def whole(case: Case, role: Role) -> Cover:
    """Expand, and hold the outcome to all that must be so for any provider."""
    made = cover.expand(case, role)
    assert made == cover.expand(case, role)
    if made.faults:
        assert (made.stage, made.cover) == ((), ())
        assert all("${" not in fault for fault in made.faults), made.faults
        return made
    ids = [step.id for step in (*made.stage, *made.cover)]
    assert len(ids) == len(set(ids))
    for step in (*made.stage, *made.cover):
        sound(step, case)
    for step in made.stage:
        assert (step.phase, step.section) == ("stage", "")
        assert step.id.startswith("stage.")
        assert step.on_fail in ("stop", "continue")
        assert step.change != "irreversible"
    for step in made.cover:
        section = "cover" if role == "replacement" else "fallback"
        assert (step.phase, step.section) == ("commit", section)
        assert step.id.startswith(f"{section}.")
        assert step.on_fail in (("fallback", "continue") if role == "replacement" else ("continue",))
        assert step.condition.name == ("always" if role == "replacement" else "cover_failed")
    return made


def sound(step: Step, case: Case) -> None:
    """What must be so for any step of any provider."""
    kind = KINDS[step.kind]
    assert allowed(step.kind)
    assert case.platform in kind.platforms
    assert set(step.args) <= {*kind.needs, *kind.may}, step
    assert set(kind.needs) <= {*step.args, *step.secrets}, step
    for name, value in step.args.items():
        assert isinstance(value, tuple) == plural(name), (step.id, name)
        for text in (value,) if isinstance(value, str) else value:
            assert "${" not in text, (step.id, name)
            assert "/srv/controller" not in text, "a path of the controller"
            assert "vault_word" not in text, "where a secret is stands in no step"
    assert step.reason
    assert step.target
    for place, secret in step.secrets.items():
        assert secret.startswith(f"{step.owner}.")
        args = " ".join(str(value) for value in step.args.values())
        assert place in (*kind.needs, *kind.may) or f"@{place}@" in args or "properties" in kind.may


@pytest.mark.parametrize("id", sorted(PROVIDERS))
def test_every_way_and_setting(id: str) -> None:
    made = 0
    more = {"exclusions": EXCLUSIONS, "proxy": "http://proxy.example:8080"}
    for (platform, manager, method, suffix), role in itertools.product(ways(id), ROLES):
        case = make(id, platform=platform, manager=manager, method=method, suffix=suffix, role=role)
        for settings, extra in itertools.product(settings_of(id), ({}, more)):
            own: dict[str, t.Any] = {f"{role}_settings": {**NEEDED.get(id, {}), **settings}, **extra}
            changed = dataclasses.replace(case, policy=dataclasses.replace(case.policy, **own))
            made += not whole(changed, role).faults
    assert made, "nothing at all could be expanded"


@pytest.mark.parametrize(
    ("id", "platform", "manager", "method", "suffix"),
    [(id, *way) for id in sorted(PROVIDERS) for way in ways(id)],
)
def test_every_way_works_as_it_comes(id: str, platform: str, manager: str, method: str, suffix: str) -> None:
    if id == "falcon" and suffix == "msi":
        assert cover.expand(make(id, platform=platform, method=method, suffix="msi"), "replacement").faults
        return
    made = whole(make(id, platform=platform, manager=manager, method=method, suffix=suffix), "replacement")
    assert made.faults == ()
    if id != "none":
        assert made.cover
        compiles(make(id, platform=platform, manager=manager, method=method, suffix=suffix))


def compiles(case: Case) -> None:
    """The steps of replacement and fallback together become jobs."""
    parts = (cover.expand(case, "replacement"), cover.expand(case, "fallback"))
    found = [*(s for p in parts for s in p.stage), *(s for p in parts for s in p.cover)]
    unique = tuple({step.id: step for step in found}.values())
    plan = Plan(
        host="web1", machine="m", platform=case.platform, state="act", verdict="present", replacement="x", steps=unique
    )
    assert Plan.from_dict(plan.to_dict()) == plan
    for phase in ("stage", "commit"):
        job = compile_job(plan, phase)
        assert job.windows() if case.platform == "windows" else job.posix()


def test_without_a_fallback_there_is_nothing_to_fall_back_to() -> None:
    case = make("clamav")
    for fallback in (None, PROVIDERS["none"]):
        made = cover.expand(dataclasses.replace(case, fallback=fallback), "replacement")
        assert {step.on_fail for step in made.cover} == {"continue"}
    with_one = cover.expand(dataclasses.replace(case, fallback=PROVIDERS["existing"]), "replacement")
    assert {step.on_fail for step in with_one.cover} == {"fallback"}


def steps(made: Cover) -> dict[str, Step]:
    assert made.faults == ()
    return {step.id: step for step in (*made.stage, *made.cover)}


def text(step: Step) -> str:
    value = step.args["text"]
    assert isinstance(value, str)
    return value


# ---- clamav


def test_clamav_covers_before_the_removal_and_blocks_after_it() -> None:
    case = make("clamav", settings={"on_access": True, "on_access_paths": ["/home", "/srv/my data"]})
    made = whole(case, "replacement")
    kinds = [(step.id.split(".", 2)[2], step.kind) for step in made.stage]
    order = [id for id, _kind in kinds]
    assert order.index("install") < order.index("engine-settings") < order.index("update") < order.index("start-engine")
    assert order.index("start-engine") < order.index("engine-runs") < order.index("engine-answers")
    assert [s.args.get("unit") for s in made.stage if s.kind == "start_unit"] == [
        "clamav-freshclam.service",
        "clamav-daemon.service",
    ]
    assert [s.args["unit"] for s in made.cover if s.kind == "start_unit"] == ["clamav-clamonacc.service"]
    assert made.cover[-1].kind == "unit_active"
    settings = text(steps(made)["stage.clamav.engine-settings"]).splitlines()
    assert "OnAccessIncludePath /home" in settings
    assert "OnAccessIncludePath /srv/my data" in settings
    assert "OnAccessExcludeUname clamav" in settings
    assert "OnAccessPrevention true" in settings
    unit = text(steps(made)["stage.clamav.on-access-unit"]).splitlines()
    program = "/usr/sbin/clamonacc -F --fdpass --config-file=/etc/clamav/clamd.conf --log=/var/log/clamav/clamonacc.log"
    assert unit[1:3] == ["ExecStart=", f"ExecStart={program}"]
    assert steps(made)["stage.clamav.on-access-instances"].args == {
        "key": "fs.inotify.max_user_instances",
        "value": "512",
    }


def test_clamav_without_on_access_starts_none() -> None:
    made = whole(make("clamav"), "replacement")
    assert all("clamonacc" not in str(step.args) for step in (*made.stage, *made.cover))
    assert [step.kind for step in made.cover] == ["unit_active", "expect"]


@pytest.mark.parametrize(
    ("manager", "packages", "unit", "selinux"),
    [
        ("apt", ("clamav", "clamav-daemon", "clamav-freshclam", "clamdscan"), "clamav-daemon.service", False),
        ("dnf", ("clamav", "clamd", "clamav-freshclam"), "clamd@scan.service", True),
        ("yum", ("clamav", "clamd", "clamav-update"), "clamd@scan.service", True),
        ("zypper", ("clamav",), "clamd.service", False),
    ],
)
def test_clamav_has_the_names_of_each_package_manager(
    manager: str, packages: tuple[str, ...], unit: str, selinux: bool
) -> None:
    made = whole(make("clamav", manager=manager), "replacement")
    found = steps(made)
    assert found["stage.clamav.install"].args == {"manager": manager, "packages": packages}
    assert found["stage.clamav.start-engine"].args["unit"] == unit
    assert [s.args["name"] for s in made.stage if s.kind == "set_selinux_boolean"] == (
        ["antivirus_can_scan_system", "antivirus_use_jit"] if selinux else []
    )


def test_clamav_writes_exclusions_before_it_starts() -> None:
    paths = (Exclusion("path", "/var/lib/my+sql"), Exclusion("path", "/srv/db"), Exclusion("path", "/srv/db"))
    made = whole(make("clamav", exclusions=paths), "replacement")
    settings = text(steps(made)["stage.clamav.engine-settings"]).splitlines()
    assert [line for line in settings if line.startswith("ExcludePath")] == [
        r"ExcludePath ^/var/lib/my\+sql(/|$)",
        "ExcludePath ^/srv/db(/|$)",
    ]
    assert [line for line in settings if line.startswith("OnAccessExcludePath")] == [
        "OnAccessExcludePath /var/lib/my+sql",
        "OnAccessExcludePath /srv/db",
    ]
    extension = whole(
        make("clamav", exclusions=(Exclusion("extension", ".ibd"), Exclusion("extension", "m.f"))), "replacement"
    )
    lines = text(steps(extension)["stage.clamav.engine-settings"]).splitlines()
    assert [line for line in lines if line.startswith("ExcludePath")] == [r"ExcludePath \.ibd$", r"ExcludePath \.m\.f$"]


@pytest.mark.parametrize(
    ("updates", "lines", "run"),
    [
        ("official", ["DatabaseMirror database.clamav.net"], "update"),
        ("mirror", ["DNSDatabaseInfo no", "DatabaseMirror https://m.example/c"], "update"),
        ("private_mirror", ["DNSDatabaseInfo no", "PrivateMirror https://m.example/c", "ScriptedUpdates no"], "update"),
        ("custom", ["DatabaseCustomURL https://own.example/a.ndb"], "update-custom"),
    ],
)
def test_clamav_takes_signatures_from_where_it_is_told(updates: str, lines: list[str], run: str) -> None:
    settings = {
        "updates": updates,
        "database_mirror": "https://m.example/c",
        "database_urls": ["https://own.example/a.ndb"],
    }
    made = whole(make("clamav", settings=settings, proxy="http://proxy.example:8080"), "replacement")
    written = [step for step in made.stage if step.args.get("path") == "/etc/clamav/freshclam.conf"]
    assert len(written) == 1
    own = text(written[0]).splitlines()
    assert set(lines) <= set(own)
    assert {"HTTPProxyServer proxy.example", "HTTPProxyPort 8080", "Checks 12"} <= set(own)
    assert [s.id for s in made.stage if s.kind == "run"] == [f"stage.clamav.{run}"]
    drop = text(steps(made)[f"stage.clamav.engine-unit{'-custom' if updates == 'custom' else ''}"])
    assert ("ConditionPathExistsGlob=\n" in drop) is (updates == "custom")


def test_clamav_without_any_network() -> None:
    settings = {"updates": "none", "databases": ["main.cvd", "daily.cvd"]}
    made = whole(make("clamav", method="file", suffix="tar", settings=settings), "replacement")
    kinds = [step.kind for step in made.stage]
    assert kinds[:4] == ["fetch", "check_artifact", "unpack", "install_folder"]
    assert not set(kinds) & {"run", "refresh_packages", "install_packages"}
    assert made.stage[0].args == {"name": "agent.tar", "method": "file", "sha256": HASH, "signer": "CN=Other"}
    placed = [step.args["path"] for step in made.stage if step.kind == "place_file"]
    assert placed == ["/var/lib/clamav/main.cvd", "/var/lib/clamav/daily.cvd"]
    assert cover.endpoints(make("clamav", settings=settings).policy, PROVIDERS["clamav"], "linux", "replacement") == ()


@pytest.mark.parametrize(
    ("settings", "changes", "said"),
    [
        ({"on_access": True}, {}, "names no folder"),
        ({"on_access": True, "on_access_paths": ["/"]}, {}, "does not fit: '/'"),
        ({"on_access": True, "on_access_paths": ["/srv"]}, {"exclusions": (EXCLUSIONS[1],)}, "no processes"),
        ({"on_access": True, "on_access_paths": ["/srv"]}, {"exclusions": (EXCLUSIONS[2],)}, "no file extensions"),
        ({"updates": "mirror"}, {}, "does not say which"),
        ({"updates": "custom"}, {}, "names none"),
        ({"updates": "none"}, {}, "must come with the file"),
        ({"databases": ["main.cvd"]}, {}, "no file comes"),
        ({"databases": ["../../etc/passwd"]}, {"method": "file", "suffix": "tar"}, "does not fit"),
        ({}, {"method": "file", "suffix": "deb"}, "must be a tar archive"),
        ({}, {"method": "share", "suffix": "tar"}, "clamav comes by repository, mirror, file"),
        ({"mirror_key": ""}, {"method": "mirror"}, "mirror_key"),
        ({"on_access_paths": ["/a\nUser root"]}, {}, "does not fit"),
    ],
)
def test_clamav_refuses_what_cannot_work(settings: dict[str, t.Any], changes: dict[str, t.Any], said: str) -> None:
    made = cover.expand(make("clamav", settings=settings, **changes), "replacement")
    assert any(said in fault for fault in made.faults), made.faults
    assert (made.stage, made.cover) == ((), ())


# ---- the others


def test_mde_linux_is_passive_until_the_old_product_is_gone() -> None:
    made = whole(make("mde_linux", exclusions=EXCLUSIONS), "replacement")
    run = [step.args["arguments"] for step in (*made.stage, *made.cover) if step.kind == "run"]
    assert run[0] == ("config", "passive-mode", "--value", "enabled")
    off = run.index(("config", "passive-mode", "--value", "disabled"))
    on = run.index(("config", "real-time-protection", "--value", "enabled"))
    assert max(number for number, arguments in enumerate(run) if arguments[0] == "exclusion") < off < on
    assert ("exclusion", "folder", "add", "--path", "/var/lib/my db") in run
    assert not any("real-time-protection" in str(step.args) for step in made.stage)
    blob = steps(made)["stage.mde_linux.onboard"]
    assert blob.secrets == {"text": "mde_linux.ONBOARDING"}
    assert blob.args == {"path": "/etc/opt/microsoft/mdatp/mdatp_onboard.json", "mode": "0600"}


def test_defender_on_a_client_is_not_touched_before_the_removal() -> None:
    made = whole(make("defender_av", server=False, exclusions=EXCLUSIONS), "replacement")
    assert made.stage == ()
    kinds = [step.kind for step in made.cover]
    assert kinds[:3] == ["add_exclusion"] * 3
    assert "start_service" not in kinds
    assert kinds.index("set_preference") < len(kinds) - 1


@pytest.mark.parametrize(("reboot", "restarts"), [("never", 0), ("if_needed", 1), ("window", 1)])
def test_defender_on_server_has_its_feature_and_restart_in_stage(reboot: str, restarts: int) -> None:
    case = make("defender_av", exclusions=EXCLUSIONS, reboot=reboot, feature="installed")
    made = whole(case, "replacement")
    assert made.stage[0].kind == "enable_feature"
    found = [step for step in made.stage if step.kind == "reboot"]
    assert [(step.condition.name, step.change) for step in found] == [("reboot_required", "reversible")] * restarts
    assert all(step.kind != "set_registry" for step in (*made.stage, *made.cover)), "passive mode is for MDE only"


@pytest.mark.parametrize("id", ["defender_av", "mde_windows"])
@pytest.mark.parametrize(
    ("feature", "reboot", "refused"),
    [("not_installed", "never", True), ("", "never", True), ("not_installed", "window", False)],
)
def test_a_feature_that_needs_a_restart_gets_one(id: str, feature: str, reboot: str, refused: bool) -> None:
    made = cover.expand(make(id, feature=feature, reboot=reboot), "replacement")
    assert any("evict_reboot forbids" in fault for fault in made.faults) is refused
    assert not cover.expand(make(id, feature=feature, reboot=reboot, server=False), "replacement").faults


def test_a_mirror_of_the_fallback_does_not_replace_that_of_the_replacement() -> None:
    written = set()
    for role in ROLES:
        made = whole(make("clamav", manager="dnf", method="mirror", role=role), role)
        step = next(s for s in made.stage if s.id.endswith("repository-rpm"))
        assert text(step).startswith(f"[evict-{role}]\n")
        written.add(step.args["path"])
    assert written == {"/etc/yum.repos.d/evict-replacement.repo", "/etc/yum.repos.d/evict-fallback.repo"}


def test_two_files_of_one_name_are_a_fault() -> None:
    case = make("falcon", method="file", suffix="deb", fallback_settings={})
    one = Source(method="file", location="/srv/a/agent.deb", sha256=HASH)
    other = Source(method="url", location="https://x.example/Agent.deb", sha256=HASH[::-1])
    policy = dataclasses.replace(case.policy, replacement_source=one, fallback_source=other)
    both = dataclasses.replace(case, policy=policy, fallback=PROVIDERS["sentinelone"])
    assert any("of the same name" in fault for fault in cover.expand(both, "replacement").faults)
    renamed = dataclasses.replace(policy, fallback_source=dataclasses.replace(other, name="s1.deb"))
    assert cover.expand(dataclasses.replace(both, policy=renamed), "replacement").faults == ()


def test_mde_windows_is_passive_first_and_active_afterwards() -> None:
    made = whole(make("mde_windows", exclusions=EXCLUSIONS), "replacement")
    ids = [step.id.split(".", 2)[2] for step in made.stage]
    assert ids.index("passive") < ids.index("feature") < ids.index("onboard") < ids.index("is-passive")
    assert [s.args["value"] for s in (*made.stage, *made.cover) if s.kind == "set_registry"] == ["1", "0"]
    assert steps(made)["stage.mde_windows.onboard"].secrets == {"text": "mde_windows.ONBOARDING"}
    assert "unconfirmed" in steps(made)["stage.mde_windows.is-passive"].reason
    assert made.cover[-1].args == {"service": "Sense"}


@pytest.mark.parametrize("id", ["defender_av", "mde_windows"])
def test_no_step_touches_what_starts_defender(id: str) -> None:
    for server in (True, False):
        made = whole(make(id, server=server, exclusions=EXCLUSIONS), "replacement")
        for step in (*made.stage, *made.cover):
            assert step.kind not in ("stop_unit", "disable_unit", "run")
            assert not re.search(r"wdboot|wdfilter|wdnis|\\Services\\|TamperProtection", str(step.args), re.I), step


def test_falcon_and_sentinelone_are_filled_in_forms() -> None:
    for id in ("falcon", "sentinelone"):
        provider = PROVIDERS[id]
        assert provider.extends == "package"
        assert "service_names" not in provider.settings
        assert "service_names" in provider.hidden
    linux = steps(whole(make("falcon", manager="dnf", method="file", suffix="rpm"), "replacement"))
    assert [id for id in linux if id.startswith("stage.")] == ["stage.falcon.fetch", "stage.falcon.check"]
    register = linux["cover.falcon.register"]
    assert register.args["arguments"] == ("-s", "-f", "--cid=@CID@")
    assert register.secrets == {"CID": "falcon.TOKEN"}
    assert "cover.falcon.provision" not in linux
    more = make("falcon", manager="dnf", method="file", suffix="rpm", secrets=("TOKEN", "PROVISIONING"))
    assert steps(whole(more, "replacement"))["cover.falcon.provision"].secrets == {
        "PROVISIONING": "falcon.PROVISIONING"
    }
    exe = steps(whole(make("falcon", platform="windows", method="share", suffix="exe"), "replacement"))
    install = exe["cover.falcon.install-exe"]
    assert install.args["arguments"] == ("/install", "/quiet", "/norestart", "CID=@TOKEN@")
    assert install.secrets == {"TOKEN": "falcon.TOKEN"}
    msi = steps(whole(make("sentinelone", platform="windows", method="share", suffix="msi"), "replacement"))
    assert msi["cover.sentinelone.install-msi"].secrets == {"SITE_TOKEN": "sentinelone.TOKEN"}
    token = steps(whole(make("sentinelone", method="url", suffix="deb"), "replacement"))["cover.sentinelone.configure"]
    assert (token.args["arguments"], token.secrets) == (
        ("management", "token", "set", "@TOKEN@"),
        {"TOKEN": "sentinelone.TOKEN"},
    )


def test_a_secret_that_nobody_names_is_a_fault() -> None:
    settings = {"configure_program": "/opt/other/ctl", "configure_arguments": ["--token=@TOKEN@"]}
    case = make("package", method="file", suffix="deb", settings=settings)
    assert any("secret TOKEN" in fault for fault in cover.expand(case, "replacement").faults)
    named = make("package", method="file", suffix="deb", settings=settings, secrets=("TOKEN",))
    made = steps(whole(named, "replacement"))
    assert made["cover.package.configure"].secrets == {"TOKEN": "package.TOKEN"}
    unused = make(
        "package", method="file", suffix="deb", settings={"configure_program": "/opt/other/ctl"}, secrets=("TOKEN",)
    )
    assert steps(whole(unused, "replacement"))["cover.package.configure"].secrets == {}


def test_nothing_of_the_old_product_can_be_named() -> None:
    for settings, said in (
        ({"service_names": ["kesl.service"]}, "kesl.service belongs to a product that is to be removed"),
        ({"active_program": "/opt/kaspersky/kesl/bin/kesl-control"}, "kesl-control belongs to a product"),
    ):
        case = make("package", method="file", suffix="deb", settings=settings)
        assert any(said in fault for fault in cover.expand(case, "replacement").faults)


def test_existing_is_proved_on_both_sides_of_the_removal() -> None:
    settings = {"active_program": "/opt/x/ctl", "active_contains": "on"}
    made = whole(make("existing", settings=settings), "replacement")
    assert [step.kind for step in made.stage] == [step.kind for step in made.cover] == ["unit_active", "expect"]
    assert all(step.change == "none" for step in (*made.stage, *made.cover))
    nothing = cover.expand(make("existing", settings={"service_names": []}), "replacement")
    assert any("service_names" in fault for fault in nothing.faults)


def test_none_does_nothing() -> None:
    assert cover.expand(make("none"), "replacement") == Cover((), (), ())


def test_no_provider_and_no_platform() -> None:
    case = cases.case("linux", products=(), replacement=None, fallback=PROVIDERS["defender_av"])
    assert cover.expand(case, "replacement") == Cover((), (), ())
    assert cover.expand(case, "fallback").faults == ("defender_av is not for linux, only for windows",)


def test_an_unknown_package_manager_is_a_fault() -> None:
    case = make("clamav")
    probes = {**case.seen.probes, "manager": dataclasses.replace(case.seen.probes["manager"], records=(), reason="cut")}
    blind = dataclasses.replace(case, seen=dataclasses.replace(case.seen, probes=probes))
    assert cover.expand(blind, "replacement").faults[0] == "clamav: the host's package manager is not known (cut)"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source(method="url", location="https://x.example/a.deb"), "needs its SHA-256"),
        (Source(method="url", location="https://x.example/a.deb", sha256=HASH.upper()), "needs its SHA-256"),
        (Source(method="url", location="https://x.example/", sha256=HASH), "needs a name"),
        (Source(method="file", location="/srv/a.rpm", sha256=HASH), "a.rpm is no file for deb"),
    ],
)
def test_a_file_has_hash_name_and_family(source: Source, said: str) -> None:
    case = make("sentinelone")
    policy = dataclasses.replace(case.policy, replacement_source=source)
    assert any(said in f for f in cover.expand(dataclasses.replace(case, policy=policy), "replacement").faults)


def test_a_file_must_be_given_where_there_is_no_repository() -> None:
    faults = cover.expand(make("falcon"), "replacement").faults
    assert faults == (
        "falcon comes by url, file, host_file: it has no repository, a source must be given (evict_replacement_source)",
    )


def test_versions_are_pinned_in_the_manager_s_way() -> None:
    for manager, pinned in (("apt", "mdatp=101.1"), ("dnf", "mdatp-101.1"), ("zypper", "mdatp=101.1")):
        case = make("mde_linux", manager=manager)
        policy = dataclasses.replace(case.policy, replacement_source=Source(method="repository", version="101.1"))
        made = steps(cover.expand(dataclasses.replace(case, policy=policy), "replacement"))
        assert made["stage.mde_linux.install-packages"].args["packages"] == (pinned,)


def test_endpoints_are_known_before_the_host() -> None:
    def reach(id: str, **settings: t.Any) -> tuple[str, ...]:
        policy = Policy(replacement_settings=settings)
        platform = next(iter(PROVIDERS[id].platforms))
        return cover.endpoints(policy, PROVIDERS[id], platform, "replacement")

    assert reach("clamav") == ("database.clamav.net:443",)
    assert reach("clamav", updates="mirror", database_mirror="http://m.example/c") == ("m.example:80",)
    own = ["file:///srv/x.ndb", "https://[2001:db8::1]:8443/x.ndb"]
    assert reach("clamav", updates="custom", database_urls=own) == ("[2001:db8::1]:8443",)
    assert reach("package", reach=["b.example:443", "a.example:8080"]) == ("a.example:8080", "b.example:443")
    assert reach("none") == ()
    assert cover.endpoints(Policy(), PROVIDERS["falcon"], "macos", "replacement") == ()


def test_detection_follows_the_settings() -> None:
    for on, method in ((False, "eicar_on_demand"), (True, "eicar_on_access")):
        case = make("clamav", settings={"on_access": on, "on_access_paths": ["/srv"]})
        filled = cover.values(case, "replacement", PROVIDERS["clamav"])
        assert cover.detection(PROVIDERS["clamav"], filled)[0] == method
    assert cover.detection(PROVIDERS["falcon"], {})[0] == "console_only"


# ---- templates


def test_lines_and_lists() -> None:
    values: dict[str, t.Any] = {"list": ("a", "b"), "empty": (), "one": "x", "nothing": ""}
    assert templates.text("a ${one}\nb ${list}\nc ${empty}\nd ${nothing}\ne\n", values) == "a x\nb a\nb b\ne\n"
    assert templates.text("${nothing}", values) is None
    assert templates.items(["${list}", "-x", "${nothing}", "--y=${one}"], values) == ("a", "b", "-x", "--y=x")
    assert templates.text("${one|json}", {"one": 'a"b'}) == '"a\\"b"'
    with pytest.raises(templates.TemplateError, match="has no value"):
        templates.text("${other}", values)
    with pytest.raises(templates.TemplateError, match="are lists"):
        templates.text("${list} ${empty}", values)
    with pytest.raises(templates.TemplateError, match="line break"):
        templates.text("${one}", {"one": "a\nb"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://a.example/x", "a.example:443"),
        ("http://a.example:81", "a.example:81"),
        ("file:///x", ""),
        ("/x", ""),
        ("http://a:b:c/", ""),
    ],
)
def test_endpoint_of_an_address(value: str, shown: str) -> None:
    assert templates.endpoint(value) == shown
