"""From a file to a checked configuration, or to every mistake in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ironswan.config import swanctl, toml
from ironswan.config.build import build
from ironswan.config.tree import Place, Problems, Section
from ironswan.errors import ConfigurationError
from ironswan.policy.connection import Configuration

_MAXIMUM_SIZE = 16 << 20


def load(path: Path) -> Configuration:
    """The configuration in a file: TOML when its name ends in `.toml`, else swanctl.conf's syntax.

    Raises ConfigurationError with every mistake: of syntax, of keys and values, of sense, and a file with secrets that
    others can read.
    """
    problems = Problems()
    files: dict[str, int] = {}

    def opener(file: Path) -> str | None:
        text, mode = _read(file, problems)
        files[str(file)] = mode
        return text

    text = opener(path)
    tree = Section(Place(str(path), 1))
    if text is not None:
        is_toml = path.suffix == ".toml"
        tree = toml.parse(path, text, problems) if is_toml else swanctl.parse(path, text, problems, opener)
    _check_modes(tree, files, problems)
    configuration = build(tree, problems)
    if problems.found:
        raise ConfigurationError(problems.sorted())
    return configuration


def _read(path: Path, problems: Problems) -> tuple[str | None, int]:
    place = Place(str(path), 1)
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_MAXIMUM_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        problems.add(place, str(path), f"cannot be read: {reason}")
        return None, 0
    if len(content) > _MAXIMUM_SIZE:
        problems.add(place, str(path), f"is larger than {_MAXIMUM_SIZE >> 20} MiB")
        return None, mode
    try:
        return content.decode(), mode
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(Place(str(path), line), str(path), "is not UTF-8 text")
        return None, mode


def _check_modes(tree: Section, files: dict[str, int], problems: Problems) -> None:
    """A file that holds a secret is its owner's alone."""
    secrets = tree.sections.get("secrets")
    if secrets is None:
        return
    for _, section in secrets.walk():
        for key, value in section.values.items():
            file = value.place.file
            if not key.startswith("id") and files.get(file, 0) & 0o077:
                message = f"others can read or write this file of secrets (mode {files[file]:04o}): chmod 600 {file}"
                problems.add(Place(file, 1), "secrets", message)
