#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A named fake: a forced command that answers as Windows' cmd.exe does over OpenSSH when it is given a POSIX command line. It runs nothing.
command=${SSH_ORIGINAL_COMMAND:-}
first=${command%% *}
case $first in
  echo) printf '%s\r\n' "${command#echo }" ;;
  '') printf 'Microsoft Windows [Version 10.0.20348.2113]\r\n(c) Microsoft Corporation. All rights reserved.\r\n\r\nC:\\Users\\lab>' ;;
  *)
    printf "'%s' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n" "$first" >&2
    exit 1 ;;
esac
