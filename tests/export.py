"""Write the package from the notebooks: `python tests/export.py [notebooks folder] [package folder]`.

nbdev's own command wants a notebook for every module; here a notebook may export several, by
`#| export name`, and a module may have pieces in several notebooks, in their order."""

import sys
from pathlib import Path

from nbdev.export import nb_export
from nbdev.maker import ModuleMaker

ROOT = Path(__file__).parent.parent


def export(notebooks: Path = ROOT / "nbs", package: Path = ROOT / "dsco") -> None:
    "Export all notebooks anew, and take away modules that none of them exports any more."
    begun: set[str] = set()

    class Maker(ModuleMaker):
        "Begins a module at its first piece, and appends the others."

        def __init__(self, dest, name, nb_path, is_new=True, **options):
            super().__init__(dest, name, nb_path, is_new=name not in begun, **options)
            begun.add(name)

    for path in sorted(notebooks.glob("*.ipynb")):
        if "#| default_exp" in path.read_text(encoding="utf-8"):
            nb_export(path, lib_path=package, mod_maker=Maker)
    for path in package.glob("*.py"):
        if path.stem not in begun and path.name != "__init__.py":
            path.unlink()
        elif not (text := path.read_text(encoding="utf-8")).endswith("\n"):
            path.write_text(text + "\n", encoding="utf-8")  # of a piece that was appended


if __name__ == "__main__":
    export(*map(Path, sys.argv[1:]))
