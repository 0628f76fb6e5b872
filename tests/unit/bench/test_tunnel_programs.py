"""Where the tunnel benchmark looks for its peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironswan.bench.tunnel import programs
from ironswan.bench.tunnel.peer import NotFound, Peer
from ironswan.bench.tunnel.peers import PEERS

TWO = Peer("two-parts", "", "", lambda *_: None, needs=(("daemon", "daemond"), ("tool",)), how_to_get="ask the vendor")  # type: ignore[arg-type,return-value]


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(programs, "DAEMONS", ())


def install(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\necho\necho version 7 of $0\n")
        (folder / name).chmod(0o755)
    return folder


def test_programs_are_found_on_the_path_by_any_of_their_names(tmp_path: Path) -> None:
    folder = install(tmp_path / "path", "daemond", "tool")
    assert programs.find(TWO, {}) == {"daemon": folder / "daemond", "tool": folder / "tool"}


def test_a_folder_named_by_the_user_comes_before_the_path(tmp_path: Path) -> None:
    install(tmp_path / "path", "daemon", "tool")
    folder = install(tmp_path / "mine", "daemon", "tool")
    assert programs.find(TWO, {"two-parts": folder}) == {"daemon": folder / "daemon", "tool": folder / "tool"}


def test_a_file_named_by_the_user_is_the_first_program_whatever_its_name(tmp_path: Path) -> None:
    folder = install(tmp_path / "mine", "daemon-7", "tool")
    found = programs.find(TWO, {"two-parts": folder / "daemon-7"})
    assert found == {"daemon": folder / "daemon-7", "tool": folder / "tool"}


def test_the_environment_says_where_a_peer_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path / "mine", "daemon", "tool")
    monkeypatch.setenv("IRONSWAN_PEER_TWO_PARTS", str(folder))
    assert programs.find(TWO, {})["daemon"] == folder / "daemon"


def test_a_missing_peer_is_told_with_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"^ask the vendor \(.*--peer two-parts=PATH"):
        programs.find(TWO, {})
    with pytest.raises(NotFound, match="has no daemon; ask the vendor"):
        programs.find(TWO, {"two-parts": install(tmp_path / "mine", "tool")})


def test_a_named_place_that_lacks_the_first_program_is_not_replaced_by_the_path(tmp_path: Path) -> None:
    install(tmp_path / "path", "daemon", "tool")
    with pytest.raises(NotFound):
        programs.find(TWO, {"two-parts": tmp_path / "nowhere"})


def test_the_version_is_the_first_line_a_program_prints(tmp_path: Path) -> None:
    folder = install(tmp_path / "path", "daemon", "tool")
    assert programs.version(TWO, programs.find(TWO, {})) == f"version 7 of {folder / 'daemon'}"


def test_every_peer_that_needs_programs_says_how_to_get_them() -> None:
    assert [peer.name for peer in PEERS.values() if peer.needs and not peer.how_to_get] == []


@pytest.mark.parametrize("name", ["forwarder", "forwarder-gcm"])
def test_forwarder_is_built_from_the_sources_with_cargo_or_not_found(name: str, tmp_path: Path) -> None:
    forwarder = PEERS[name]
    with pytest.raises(NotFound, match="cargo"):
        programs.find(forwarder, {})
    cargo = install(tmp_path / "path", "cargo") / "cargo"
    found = programs.find(forwarder, {})
    assert found["cargo"] == cargo
    assert (found["sources"] / "rust" / "dataplane" / "examples" / "forwarder" / "main.rs").exists()
