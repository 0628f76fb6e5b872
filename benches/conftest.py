"""The option for those with time."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="ESP: every suite with every packet size and batch length")


def pytest_generate_tests(metafunc):
    """`case` is a suite, a packet size and a batch length."""
    if "case" in metafunc.fixturenames:
        cases = metafunc.module.ALL_CASES if metafunc.config.getoption("--full") else metafunc.module.CASES
        metafunc.parametrize("case", cases, ids=lambda case: "-".join(map(str, case)))
