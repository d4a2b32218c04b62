#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# FAKE: stands for a vendor's command line tool. It only writes down that it was called, so that a test can show that nobody called it.
echo "$(date -u +%FT%TZ) $0 $*" >> /var/log/fake-kaspersky-calls
