# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of evidence are the same whatever order a host gives its values in."""

from __future__ import annotations

from itertools import permutations

from ansible_collections.evict.kaspersky.plugins.plugin_utils import words

KEY = {"root": "SOFTWARE\\KasperskyLab", "key": "protected", "view": "32"}
VALUES = {"value.ProductVersion": "12.6", "value.ProductCode": "{A}", "value.Empty": "", "value.ProductName": "K"}


def test_values_of_a_registry_key_have_one_order() -> None:
    said = {words.of("registry", "registry.machine", {**KEY, **dict(order)}) for order in permutations(VALUES.items())}
    expected = (
        "registry key HKLM\\SOFTWARE\\KasperskyLab\\protected (32 bit): "
        "ProductCode={A}, ProductName=K, ProductVersion=12.6"
    )
    assert said == {expected}
