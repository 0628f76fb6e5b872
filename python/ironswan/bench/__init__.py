"""Benchmarks: what is measured, the conditions of a figure, tables and charts. Prints nothing; `cli` does."""

from __future__ import annotations
