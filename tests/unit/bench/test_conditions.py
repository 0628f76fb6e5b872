"""The conditions of a figure: found on any machine, complete, and None where a machine does not say."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ironswan.bench.conditions import gather

X86 = "processor : 0\nmodel name : Sample CPU @ 3 GHz\nflags : fpu aes avx2 vaes sse2\n\nprocessor : 1\nflags : none\n"
ARM = "processor : 0\nFeatures : fp asimd aes pmull sha2\nCPU part : 0xd0c\n"


def machine(tmp_path: Path, cpuinfo: str) -> Path:
    system = tmp_path / "system"
    frequency = system / "sys/devices/system/cpu/cpu0/cpufreq"
    frequency.mkdir(parents=True)
    (frequency / "scaling_governor").write_text("powersave\n")
    (system / "proc").mkdir()
    (system / "proc/cpuinfo").write_text(cpuinfo)
    (system / "proc/loadavg").write_text("0.50 1.25 2.00 1/200 12345\n")
    return system


def test_machine_is_described(tmp_path):
    about = gather(system=machine(tmp_path, X86), root=tmp_path)
    assert (about.cpu, about.cpu_features) == ("Sample CPU @ 3 GHz", ("aes", "avx2", "vaes"))
    assert (about.governor, about.load) == ("powersave", (0.5, 1.25, 2.0))
    for text in ("Sample CPU @ 3 GHz", "aes avx2 vaes", "governor powersave", "load 0.50 1.25 2.00", about.date):
        assert text in about.text()


def test_processor_without_a_name_is_named_by_its_architecture(tmp_path):
    about = gather(system=machine(tmp_path, ARM), root=tmp_path)
    assert about.cpu
    assert about.cpu_features == ("aes", "asimd", "pmull", "sha2")


def test_what_cannot_be_found_is_none_and_not_in_the_text(tmp_path):
    about = gather(["no-such-distribution"], system=tmp_path, root=tmp_path)
    assert (about.governor, about.load, about.commit) == (None, None, None)
    assert about.libraries == {"ring": None, "no-such-distribution": None}
    assert "None" not in about.text()


def test_versions_of_the_libraries_that_take_part(tmp_path):
    (tmp_path / "Cargo.lock").write_text('[[package]]\nname = "ring"\nversion = "0.17.99"\n')
    about = gather(["cryptography"], system=tmp_path, root=tmp_path)
    assert about.libraries["ring"] == "0.17.99"
    assert about.libraries["cryptography"]
    assert "ring 0.17.99; cryptography" in about.text()


def test_document_is_json(tmp_path):
    about = gather(["cryptography"], system=machine(tmp_path, X86), root=tmp_path)
    assert set(json.loads(json.dumps(about.to_dict()))) == {
        "date", "cpu", "cpus", "cpu_features", "governor", "load", "kernel", "python", "ironswan", "native", "commit",
        "libraries",
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_commit_says_whether_files_have_changed(tmp_path):
    def git(*words):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
        subprocess.run(command, check=True, capture_output=True)

    (tmp_path / "Cargo.toml").write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    commit = gather(system=tmp_path, root=tmp_path).commit
    assert len(commit) >= 12
    assert "+" not in commit
    (tmp_path / "Cargo.toml").write_text("# changed\n")
    assert gather(system=tmp_path, root=tmp_path).commit == f"{commit}+changes"
