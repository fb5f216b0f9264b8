"""How far a loop is, in lines; and batches that survive a kill."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.own import HANGS, searched

from deepinside.runtime import progress
from deepinside.runtime.progress import EVERY, duration, rate, resumable, timed, track

HERE = Path(__file__).parent


def squares(positions):
    return {"square": np.array([n**2 for n in positions]), "made_by": np.array(os.getpid())}


def dying(folder):
    resumed = resumable(folder, 4, 2, lambda _positions: os._exit(1), "dying")
    next(resumed)


def run(work, folder):
    words = f"import test_progress as t; t.{work.__name__}(t.Path({str(folder)!r}))"
    return subprocess.Popen([sys.executable, "-c", words], env=os.environ | {"PYTHONPATH": searched(HERE)})


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self):
        return self.now

    def passing(self, seconds, items=()):
        for item in items:
            self.now += seconds
            yield item


@pytest.fixture
def clock(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="deepinside.runtime.progress")
    monkeypatch.setattr(progress, "_clock", clock := Clock())
    monkeypatch.setattr(progress._Lines, "last", -EVERY)
    return clock


def test_a_line_every_ten_seconds_with_rate_and_time_left(clock, caplog):
    assert list(track(clock.passing(4, range(10)), "localise", total=10)) == list(range(10))
    assert caplog.messages == [  # after 12, 24 and 36 seconds
        "localise: 3 of 10, 15.0/min, 0 min 28 s left",
        "localise: 6 of 10, 15.0/min, 0 min 16 s left",
        "localise: 9 of 10, 15.0/min, 0 min 04 s left",
    ]


def test_many_quick_items_and_short_loops_say_no_more_often(clock, caplog):
    for _ in range(4):
        list(track(clock.passing(1 / 64, range(600)), "quick", total=600))
    assert caplog.messages == []  # 37 seconds, but each loop was done before it had something to say
    list(track(clock.passing(1 / 64, range(1500)), "long", total=1500))
    assert [message.split(",")[0] for message in caplog.messages] == ["long: 640 of 1500", "long: 1280 of 1500"]


def test_loops_inside_one_another_share_their_lines(clock, caplog):
    for _ in track(range(3), "outer"):
        list(track(clock.passing(5, range(6)), "inner", total=6))
    assert len(caplog.messages) == 3 * 6 * 5 / EVERY


def test_what_was_finished_before_does_not_count_for_the_rate(clock, caplog, tmp_path):
    def work(positions):
        clock.now += 12
        return {"x": np.array(positions)}

    list(resumable(tmp_path, 8, 4, lambda positions: {"x": np.array(positions)}, "first"))
    list(resumable(tmp_path, 20, 4, work, "second"))
    assert caplog.messages == [
        "second: 12 of 20, 20.0/min, 0 min 24 s left",
        "second: 16 of 20, 20.0/min, 0 min 12 s left",
        "second: 20 of 20, 20.0/min, 0 min 00 s left",
    ]


def test_rates_and_durations_in_words():
    assert [rate(speed) for speed in (250, 1, 0.5, 1 / 90)] == ["250.0/s", "1.0/s", "30.0/min", "40.0/h"]
    assert [duration(seconds) for seconds in (0.4, 8, 192, 7500)] == [
        "0 min 00 s",
        "0 min 08 s",
        "3 min 12 s",
        "2 h 05 min",
    ]


def test_loops_are_timed_by_description_and_those_inside_them_are_not(clock):
    with timed() as seconds:
        for _ in track(clock.passing(2, range(3)), "outer", total=3):
            list(track(clock.passing(1, range(5)), "inner", total=5))
        list(track(clock.passing(7, range(1)), "inner", total=1))
        given_up = track(clock.passing(1, range(9)), "given up", total=9)
        next(given_up)
        given_up.close()
    list(track(clock.passing(7, range(1)), "outer", total=1))
    assert seconds == {"outer": 3 * 2 + 3 * 5, "inner": 7, "given up": 1}


def test_what_a_process_finished_before_it_died_is_kept(tmp_path):
    other = run(dying, tmp_path)
    assert other.wait(timeout=HANGS) == 1
    answers = list(resumable(tmp_path, 4, 2, squares, "again"))
    assert [answer["square"].tolist() for answer in answers] == [[0, 1], [4, 9]]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npz", ".npz"]


def test_finished_batches_are_not_computed_again(tmp_path):
    list(resumable(tmp_path, 3, 2, squares, "first"))
    with pytest.raises(ZeroDivisionError):
        list(resumable(tmp_path, 5, 2, lambda positions: {"x": np.array(1 // (positions.start - 4))}, "second"))
    assert len(list(tmp_path.glob("*.npz"))) == 2
