# SPDX-License-Identifier: GPL-3.0-or-later
"""What inhibitors are tried on: rows of (id, what it fires on, words of the diagnosis, the nearest that must pass)."""
