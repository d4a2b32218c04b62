# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of each other provider: what comes before the removal, what after it, and with which secrets."""

from __future__ import annotations

import dataclasses
import re

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import cover
from ansible_collections.evict.kaspersky.plugins.plugin_utils.cover import Cover
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Source
from tests.covers import EXCLUSIONS, HASH, PROVIDERS, ROLES, make, steps, text, whole


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
    # Its service takes no exclusion before it is back, and that happens when the old product is gone.
    assert kinds[:5] == ["expect_defender", *["add_exclusion"] * 3, "set_preference"]
    assert made.cover[0].args == {"property": "AMServiceEnabled", "value": "True"}
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
