# SPDX-License-Identifier: GPL-3.0-or-later
"""`trim_deps.py SOURCE TARGET`: copy a framework's deps.json, keeping only the files that lie beside TARGET.

.NET refuses to start when a deps.json names a file that is missing; a framework folder that was cut down needs one that
was cut down with it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(source: Path, target: Path) -> None:
    """Write the cut-down copy."""
    present = set(os.listdir(target.parent))
    deps = json.loads(source.read_text(encoding="utf-8-sig"))
    for libraries in deps["targets"].values():
        for library in libraries.values():
            for group in ("runtime", "native"):
                if group in library:
                    kept = {name: info for name, info in library[group].items() if os.path.basename(name) in present}
                    library[group] = kept
            library.pop("resources", None)  # translated messages are left out of the kit
    target.write_text(json.dumps(deps, indent=1), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
