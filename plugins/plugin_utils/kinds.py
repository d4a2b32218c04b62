# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds of signals a platform has, and a signal made from its data."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from . import signals, signals_macos, signals_posix, signals_windows

KINDS: t.Final[Mapping[str, Mapping[str, type[signals.Signal]]]] = {
    platform: {kind.kind: kind for kind in (signals.PathSignal, *own)}
    for platform, own in {
        "linux": (
            signals_posix.PackageSignal,
            signals_posix.UnitSignal,
            signals_posix.InitScriptSignal,
            signals_posix.LinuxProcessSignal,
            signals_posix.TreeSignal,
            signals_posix.SetupSectionSignal,
            signals_posix.UserSignal,
            signals_posix.GroupSignal,
            signals_posix.KernelModuleSignal,
            signals_posix.FirewallChainSignal,
            signals_posix.TrustAnchorSignal,
            signals_posix.LineSignal,
            signals_posix.ImageSignal,
        ),
        "windows": (
            signals_windows.UninstallSignal,
            signals_windows.ProductCodeSignal,
            signals_windows.ServiceSignal,
            signals_windows.DriverSignal,
            signals_windows.RegistrySignal,
            signals_windows.WindowsProcessSignal,
            signals_windows.MinifilterSignal,
            signals_windows.ClassFilterSignal,
            signals_windows.NetworkComponentSignal,
            signals_windows.CertificateSignal,
            signals_windows.TaskSignal,
            signals_windows.FirewallRuleSignal,
            signals_windows.ExtensionSignal,
            signals_windows.AppxSignal,
            signals_windows.ReinstallSignal,
        ),
        "macos": (
            signals_posix.LinuxProcessSignal,
            signals_posix.UserSignal,
            signals_posix.GroupSignal,
            signals_macos.ReceiptSignal,
            signals_macos.LaunchdSignal,
            signals_macos.SystemExtensionSignal,
            signals_macos.KextSignal,
            signals_macos.ProfileSignal,
        ),
    }.items()
}


def build(platform: signals.Platform, data: Mapping[str, t.Any]) -> signals.Signal:
    """A signal from its checked form in the catalog.

    Args:
        platform: the entry's platform.
        data: the mapping as the file has it, valid by schemas/catalog-1.json, its expressions known to compile.
    """
    cls = KINDS[platform][data["kind"]]
    values: dict[str, t.Any] = {"danger": "harmless", "note": ""}
    if data["shows"] == "mention":
        values["topic"] = "mention"
    for key, value in data.items():
        if key in cls.regexes:
            values[key] = re.compile(value, re.IGNORECASE)
        elif key == "source":
            values["sources"] = tuple(value)
        elif key == "confidence":
            values[key] = signals.Confidence(value)
        elif key == "code":
            values[key] = value.upper()
        elif key != "kind":
            values[key] = tuple(value) if isinstance(value, list) else value
    if cls is signals.PathSignal:
        values["platform"] = platform
    return cls(**values)
