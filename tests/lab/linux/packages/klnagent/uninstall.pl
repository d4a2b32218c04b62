#!/usr/bin/perl
# SPDX-License-Identifier: GPL-3.0-or-later
# FAKE: stands for the vendor's uninstaller, which the package's prerm calls; without it the removal fails.
use strict;
use warnings;
if (-d '/run/systemd/system') { system('systemctl', 'disable', '--now', '@NAME@.service') == 0 or exit 1; }
exit 0 if -e '/etc/fake-kaspersky/leftovers';
unlink '/var/opt/kaspersky/applications.setup';
