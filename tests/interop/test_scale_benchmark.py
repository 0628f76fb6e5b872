"""The scaling benchmark for real, as short as it can be."""

from __future__ import annotations

import pytest

from ironswan.bench.scale.planes import FORMS, NOWHERE
from ironswan.bench.scale.sweep import Effort, Setting, measure


def test_packets_arrive_through_every_one_of_many_sas(privileged: None) -> None:
    point = measure(Setting(sas=1000, size=100, segments=4, in_a_row=8), Effort(seconds=0.3, rounds=1))
    assert point.failed is None
    assert point.median is not None
    assert point.median > 0
    assert point.octets_each is not None


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_esp_is_measured_with_the_time_its_threads_took(privileged: None, form: str) -> None:
    point = measure(Setting(esp=form), Effort(seconds=0.3, rounds=1))
    assert point.failed is None
    assert min(*point.kpps, *point.sending) > 0
    assert form == NOWHERE or min(point.receiving) > 0


def test_sas_that_take_too_long_to_install_are_told(privileged: None) -> None:
    point = measure(Setting(sas=1000), Effort(seconds=0.1, rounds=1, patience=0.001))
    assert "1000 SAs were not installed within 0.001 s" in str(point.failed)
