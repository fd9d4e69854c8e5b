"""Finds compiled modules that cannot be loaded here: made for other hardware or for another Python."""

import platform
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

# ELF header, field e_machine (System V ABI).
_ELF_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_MACHINE_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
_PYTHON_TAG = re.compile(r"\.(?:cpython|cp)-?(\d)(\d+)t?[-.]")
_LIBRARY = re.compile(r"\.(so(\.\d+)*|pyd|dylib)$")


@dataclass(frozen=True)
class ForeignFile:
    """A compiled file that this machine cannot load: its path in the package, and what it was made for."""

    path: Path
    made_for: str

    @property
    def module(self) -> str:
        """The top-level name that the file belongs to (``pydantic_core``)."""
        return self.path.parts[0].split(".")[0]


def machine() -> str:
    """Return the name of this machine's hardware, as wheels spell it."""
    name = platform.machine().lower()
    return _MACHINE_ALIASES.get(name, name)


def foreign_files(root: Path, python_version: str) -> list[ForeignFile]:
    """Return the compiled files below `root` that Python `python_version` (``3.11``) cannot load here."""
    found: list[ForeignFile] = []
    for path in sorted(root.rglob("*")):
        if _LIBRARY.search(path.name) and path.is_file() and (made_for := _misfit(path, python_version)):
            found.append(ForeignFile(path.relative_to(root), made_for))
    return found


def _misfit(path: Path, python_version: str) -> str | None:
    """Return what the file was made for, or None when it fits."""
    hardware = _hardware(path)
    if hardware != machine():
        return hardware or "an unknown platform"
    tag = _PYTHON_TAG.search(path.name)
    if tag and f"{tag[1]}.{tag[2]}" != python_version:
        return f"Python {tag[1]}.{tag[2]}"
    return None


def _hardware(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(20)
    if sys.platform == "linux" and head[:4] == b"\x7fELF":
        order = "<" if head[5] == 1 else ">"
        code = struct.unpack_from(f"{order}H", head, 18)[0]
        return _ELF_MACHINES.get(code, f"ELF machine {code}")
    if head[:4] == b"\x7fELF":
        return "Linux"
    # Mach-O, 64 bit: CPU type 0x01000007 is x86_64 and 0x0100000C is arm64.
    if sys.platform == "darwin" and head[:4] == b"\xcf\xfa\xed\xfe":
        return {0x01000007: "x86_64", 0x0100000C: "aarch64"}.get(struct.unpack_from("<I", head, 4)[0])
    return None
