# SPDX-License-Identifier: GPL-3.0-or-later
"""The `evict` command: runs the collection's playbooks, reads their evidence, ends with the exit code it deserves."""
