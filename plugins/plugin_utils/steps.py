# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of steps a hand can perform, and the conditions it can ask: the whole vocabulary between brain and hands.

A plan holds nothing else, a provider is written in nothing else, and a job is compiled to nothing else. A kind that is
not in this table cannot reach a host.

An argument never holds a secret. Where a program takes one in no other way than as an argument, the argument holds
`@name@`, `secrets` of the step says which secret `name` is, and the hand puts it there. Other accounts of the host can
then read it in the list of processes, so such a step needs a waiver (SEEN). All other secrets travel in memory or in a
private file; the properties of an MSI that are secret go through the API of Windows Installer, never to msiexec.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

Phase = t.Literal["stage", "commit", "reboot", "finish"]
Section = t.Literal["", "remove", "cover", "fallback"]
Change = t.Literal["none", "reversible", "irreversible"]
OnFail = t.Literal["stop", "continue", "cover", "fallback"]

PHASES: t.Final[tuple[Phase, ...]] = t.get_args(Phase)
SECTIONS: t.Final[tuple[Section, ...]] = t.get_args(Section)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of step.

    Attributes:
        what: what the hand does, in words of the documentation.
        platforms: where a hand knows it.
        needs, may: names of its arguments: those it must have, those it may have. A text, or a tuple of texts where
            the name ends in `s`.
        change: `none` looks only, `reversible` can be undone, `irreversible` cannot.
        timeout: seconds it may take when nothing else says so.
        typical: seconds it usually takes, for the estimate of the time without protection.
        undo: the kind that undoes it, empty when leaving it does no harm.
    """

    what: str
    platforms: tuple[str, ...]
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    change: Change = "reversible"
    timeout: int = 120
    typical: int = 2
    undo: str = ""


_BOTH: t.Final = ("linux", "windows")
_LINUX: t.Final = ("linux",)
_WINDOWS: t.Final = ("windows",)

KINDS: t.Final[Mapping[str, Kind]] = {
    # --- staging: nothing of the old product is touched
    "fetch": Kind(
        "fetch a file into the staging folder and check its hash and, where given, its signer",
        _BOTH,
        ("name", "method", "sha256"),
        ("location", "signer", "proxy"),
        timeout=1800,
        typical=60,
        undo="remove_staged",
    ),
    "check_artifact": Kind(
        "hash a staged file again, since the old product may have put it into quarantine",
        _BOTH,
        ("name", "sha256"),
        ("signer",),
        change="none",
        timeout=300,
    ),
    "remove_staged": Kind("remove our own staging folder", _BOTH, change="none"),
    "refresh_packages": Kind(
        "fetch the lists of the package repositories", _LINUX, ("manager",), ("proxy",), change="none", timeout=600
    ),
    "download_packages": Kind(
        "fetch packages into the package manager's cache, install nothing",
        _LINUX,
        ("manager", "packages"),
        ("proxy",),
        change="none",
        timeout=1800,
        typical=60,
    ),
    "install_packages": Kind(
        "install packages from a repository",
        _LINUX,
        ("manager", "packages"),
        ("proxy",),
        timeout=1800,
        typical=30,
        undo="remove_packages",
    ),
    "install_file": Kind(
        "install a staged package file", _LINUX, ("manager", "name"), timeout=1800, typical=30, undo="remove_packages"
    ),
    "unpack": Kind(
        "unpack a staged tar archive in the staging folder, plain files and folders only, nothing outside of it",
        _LINUX,
        ("name",),
        timeout=300,
        typical=5,
        undo="remove_staged",
    ),
    "install_folder": Kind(
        "install the package files that lie in a folder of an unpacked archive, all together, without a repository",
        _LINUX,
        ("manager", "folder"),
        timeout=1800,
        typical=30,
        undo="remove_packages",
    ),
    "place_file": Kind(
        "put a staged file where the replacement looks for it; what was there is kept beside it",
        _LINUX,
        ("name", "path", "mode", "owner"),
        undo="restore_file",
    ),
    "remove_file": Kind(
        "remove a file of the replacement's configuration; it is kept beside it", _LINUX, ("path",), undo="restore_file"
    ),
    "remove_packages": Kind(
        "remove packages of the replacement that this job installed", _LINUX, ("manager", "packages"), timeout=900
    ),
    "write_file": Kind(
        "write a file of the replacement's configuration; what was there is kept beside it",
        _LINUX,
        ("path", "text", "mode"),
        undo="restore_file",
    ),
    "restore_file": Kind("put back the file that was there before", _LINUX, ("path",)),
    "raise_sysctl": Kind(
        "raise a kernel limit when it is lower, now and at each start", _LINUX, ("key", "value"), undo=""
    ),
    "set_selinux_boolean": Kind("set a boolean of SELinux, where SELinux is enforcing", _LINUX, ("name", "value")),
    "run": Kind(
        "run a program of the replacement that its provider names, with these arguments",
        _BOTH,
        ("program", "arguments"),
        ("expects", "accepts"),
        timeout=900,
        typical=5,
    ),
    "enable_unit": Kind("enable a unit for the next start", _LINUX, ("unit",), undo="disable_unit"),
    "disable_unit": Kind("disable a unit", _LINUX, ("unit",)),
    "start_unit": Kind(
        "start a unit and read back that it is active", _LINUX, ("unit",), timeout=180, typical=5, undo="stop_unit"
    ),
    "stop_unit": Kind("stop a unit with the product's own patience", _LINUX, ("unit",), timeout=660, typical=30),
    "unit_active": Kind("is a unit active and enabled, after a delay", _LINUX, ("unit",), change="none", typical=3),
    "expect": Kind(
        "ask a program of the replacement until its answer holds these texts, exactly as written",
        _BOTH,
        ("program", "arguments", "contains"),
        change="none",
        timeout=600,
        typical=10,
    ),
    # --- removal
    "remove_package": Kind(
        "remove one package of the product, and ask the package database afterwards",
        _LINUX,
        ("manager", "package"),
        ("purge",),
        change="irreversible",
        timeout=1800,
        typical=60,
    ),
    "msi_uninstall": Kind(
        "uninstall one MSI product by the code of its own uninstall key, without a restart; properties, such as "
        "a password, reach Windows Installer in memory, not as arguments",
        _WINDOWS,
        ("code",),
        ("properties",),
        change="irreversible",
        timeout=3600,
        typical=180,
    ),
    "confirm_absent": Kind(
        "look again: none of these packages, codes, services and programs is there",
        _BOTH,
        ("product",),
        ("packages", "codes", "services", "programs"),
        change="none",
        timeout=120,
        typical=3,
    ),
    # --- cover on Windows
    "enable_feature": Kind(
        "install a feature of the server", _WINDOWS, ("feature",), ("source",), timeout=3600, typical=120, undo=""
    ),
    "install_msi": Kind(
        "install a staged MSI without a restart; properties reach Windows Installer in memory, not as arguments",
        _WINDOWS,
        ("name",),
        ("properties",),
        timeout=3600,
        typical=120,
    ),
    "install_exe": Kind(
        "run a staged installer", _WINDOWS, ("name", "arguments"), ("accepts",), timeout=3600, typical=180
    ),
    "run_secret_script": Kind(
        "write a secret into a private file of the staging folder, run it as a script of Windows, remove it",
        _WINDOWS,
        ("name", "text"),
        ("accepts",),
        timeout=900,
        typical=30,
    ),
    "set_registry": Kind(
        "set a value of the registry; what was there is kept in the journal",
        _WINDOWS,
        ("key", "name", "type", "value"),
        undo="restore_registry",
    ),
    "restore_registry": Kind("put back the value that was there before", _WINDOWS, ("key", "name")),
    "set_preference": Kind("set a preference of Defender and read it back", _WINDOWS, ("name", "value"), typical=5),
    "add_exclusion": Kind("add an exclusion and read it back", _WINDOWS, ("type", "value"), typical=2),
    "update_signatures": Kind("update Defender's signatures", _WINDOWS, (), ("source",), timeout=1800, typical=60),
    "start_service": Kind("start a service and read back that it runs", _WINDOWS, ("service",), typical=5),
    "service_running": Kind("is a service running and set to start", _WINDOWS, ("service",), change="none", typical=2),
    "expect_defender": Kind(
        "ask Defender's status until a property begins with this value",
        _WINDOWS,
        ("property", "value"),
        change="none",
        timeout=600,
        typical=10,
    ),
    # --- the end
    "reboot": Kind("restart the host, and wait for it", _BOTH, change="irreversible", timeout=1800, typical=180),
    "reload_units": Kind("let systemd read its units again and forget failed ones", _LINUX, ("units",), change="none"),
    "purge_path": Kind(
        "remove a path that the catalog marks as safe, and nothing else",
        _BOTH,
        ("path",),
        ("keep",),
        change="irreversible",
        timeout=600,
    ),
    "purge_group": Kind(
        "remove a group that has no member and is nobody's primary group", _LINUX, ("group",), change="irreversible"
    ),
    "purge_user": Kind(
        "remove an account of the product that owns no process", _LINUX, ("user",), change="irreversible"
    ),
    "purge_chain": Kind(
        "remove an empty chain of the product from iptables and ip6tables",
        _LINUX,
        ("table", "chain"),
        change="irreversible",
    ),
    "edit_lines": Kind(
        "take lines that were seen out of the configuration of another service, as whole lines or without the "
        "product's part; a copy is kept, the service's own check is asked, and units that are active are reloaded; "
        "whatever of that fails brings the old file back",
        _LINUX,
        ("path", "lines", "becomes", "joined", "checks"),
        ("units",),
        timeout=300,
        typical=5,
    ),
    "remove_anchors": Kind(
        "take certificates that were seen out of the folder of the trust store, make the store anew and read back that "
        "they are gone; a copy is kept, and comes back when that fails",
        _LINUX,
        ("files", "marks", "refresh", "bundle", "hashed"),
        timeout=300,
        typical=10,
    ),
    "purge_registry": Kind(
        "remove a key that the catalog marks as safe, from both views", _WINDOWS, ("key",), change="irreversible"
    ),
    "purge_user_registry": Kind(
        "remove a key that the catalog marks as safe from each loaded user hive",
        _WINDOWS,
        ("key",),
        change="irreversible",
    ),
}

# Arguments of a step that stand on the command line of a program, where every account of the host can read them while
# it runs. `properties` do not: see install_msi and msi_uninstall.
SEEN: t.Final = ("arguments",)

# What a hand can ask before a step. `of` names what the condition is about; it must be empty where the table says so.
CONDITIONS: t.Final[Mapping[str, tuple[bool, str]]] = {
    "always": (False, "always"),
    "reboot_required": (False, "only when a step or the system asks for a restart"),
    "product_absent": (True, "only when {of} was looked for again and is gone"),
    "remains": (True, "only when {of} is still there"),
    "cover_failed": (False, "only when the replacement did not become active"),
    "not_active": (True, "only when {of} is not active yet"),
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """When a step is performed: a name of CONDITIONS, and what it is about."""

    name: str = "always"
    of: str = ""

    def words(self) -> str:
        """The condition for a reader; empty for `always`."""
        if self.name == "product_absent" and " " in self.of:
            return f"only when {self.of.replace(' ', ' and ')} were looked for again and are gone"
        return "" if self.name == "always" else CONDITIONS[self.name][1].format(of=self.of)


ALWAYS: t.Final = Condition()
