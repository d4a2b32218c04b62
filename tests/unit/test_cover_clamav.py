# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of ClamAV: covers before the removal, blocks after it, takes signatures from where it is told."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import cover
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Exclusion
from tests.covers import EXCLUSIONS, HASH, PROVIDERS, make, steps, text, whole


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
