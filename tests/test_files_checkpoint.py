"""`Checkpoint`: a run that is stopped at any moment goes on as if it had not been."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import tapegrad as torch

HERE = Path(__file__).resolve().parent
KILLS = int(os.environ.get("TAPEGRAD_KILLS", "6"))  # how often the test kills its training run


class Counter:
    """A part with the two methods."""

    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"step") + 10] ^= 1
    path.write_bytes(data)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- saving and loading ----------------------------------------------------------------------------------------------


def test_everything_comes_back(tmp_path):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    generator = torch.Generator().manual_seed(7)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "draws": generator, "count": Counter(3)}
    checkpoint = torch.Checkpoint(tmp_path / "run", **parts)
    assert checkpoint.load() is None and checkpoint.steps() == []
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler.step()
    torch.randn(3), torch.randn(3, generator=generator), np.random.randn(), random.gauss(0, 1)  # half a pair is left
    path = checkpoint.save(12, extra={"best": 0.5})
    assert path == tmp_path / "run" / "step-00000012.pt" == checkpoint.path(12)

    def draws(generator):
        return [
            torch.randn(2).tolist(),
            torch.rand(2, generator=generator).tolist(),
            np.random.randn(),
            random.gauss(0, 1),
        ]

    expected = draws(generator)
    other = torch.nn.Linear(2, 1)
    second = torch.optim.Adam(other.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(second, 1, 0.1)
    drawn, count = torch.Generator(), Counter()
    parts = {"model": other, "optimizer": second, "scheduler": schedule, "draws": drawn, "count": count}
    again = torch.Checkpoint(str(tmp_path / "run"), **parts)
    assert again.restore() == 12 and again.extra == {"best": 0.5} and again.steps() == [12]
    assert draws(drawn) == expected
    assert torch.equal(other.weight, model.weight) and count.value == 3 and schedule.last_epoch == 1
    assert repr(second.state_dict()) == repr(optimizer.state_dict())
    assert torch.load(path)["model"]["weight"].tolist() == model.weight.tolist()


def test_every_schedule_and_optimizer_can_be_saved(tmp_path):
    schedulers = torch.optim.lr_scheduler
    made = {
        "StepLR": {"step_size": 2},
        "MultiStepLR": {"milestones": [1, 3]},
        "ConstantLR": {},
        "LinearLR": {},
        "ExponentialLR": {"gamma": 0.5},
        "PolynomialLR": {},
        "CosineAnnealingLR": {"T_max": 5},
        "CosineAnnealingWarmRestarts": {"T_0": 2},
        "CyclicLR": {"base_lr": 0.1, "max_lr": 1.0, "cycle_momentum": False},
        "OneCycleLR": {"max_lr": 1.0, "total_steps": 10},
        "ReduceLROnPlateau": {},
        "LambdaLR": {"lr_lambda": lambda epoch: 0.5**epoch},
        "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.5},
    }
    for i, (name, options) in enumerate(made.items()):
        weight = torch.ones(2, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.5)
        schedule = getattr(schedulers, name)(optimizer, **options)
        weight.sum().backward()
        optimizer.step()
        schedule.step(*([1.0] if name == "ReduceLROnPlateau" else []))
        checkpoint = torch.Checkpoint(tmp_path / str(i), schedule=schedule)
        checkpoint.save(1)
        state = repr(schedule.state_dict())
        schedule.last_epoch = 9
        checkpoint.load()
        assert repr(schedule.state_dict()) == state, name
    for name in ("Adadelta", "Adagrad", "AdamW", "Adamax", "ASGD", "LBFGS", "NAdam", "RAdam", "RMSprop", "Rprop"):
        weight = torch.ones(2, requires_grad=True)
        optimizer = getattr(torch.optim, name)([weight])
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step(lambda weight=weight: weight.square().sum())
        torch.Checkpoint(tmp_path / name, optimizer=optimizer).save(1)


def test_the_newest_files_are_kept(tmp_path):
    checkpoint = torch.Checkpoint(tmp_path, count=Counter(), keep=2)
    for step in range(1, 6):
        checkpoint.save(step)
    assert checkpoint.steps() == [4, 5] and names(tmp_path) == ["step-00000004.pt", "step-00000005.pt"]
    checkpoint.save(5)  # the same step again
    assert checkpoint.steps() == [4, 5]
    everything = torch.Checkpoint(tmp_path / "all", count=Counter(), keep=None)
    for step in range(6):
        everything.save(step)
    assert everything.steps() == list(range(6))


def test_a_damaged_file_is_left_out(tmp_path):
    count = Counter()
    checkpoint = torch.Checkpoint(tmp_path, count=count)
    for count.value in (1, 2, 3):
        checkpoint.save(count.value * 10)
    (tmp_path / "step-00000099.txt").touch()
    damage(checkpoint.path(30))
    checkpoint.path(20).write_bytes(checkpoint.path(20).read_bytes()[:-100])
    again = torch.Checkpoint(tmp_path, count=count)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert again.load() == 10 and count.value == 1
    texts = [str(w.message) for w in caught]
    assert [text.partition("\n")[0] for text in texts] == [
        f"Checkpoint: {checkpoint.path(step)} cannot be read and is left out" for step in (30, 20)
    ]
    assert "the contents of an entry have changed" in texts[0] and "it breaks off" in texts[1]
    with pytest.raises(RuntimeError, match="have changed"):
        again.load(30)
    again.save(15)  # the run goes on from 10: what lay after it is removed, once the new file is good
    assert again.steps() == [10, 15]
    for step in (10, 15):
        damage(again.path(step))
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="none of the files can be read"):
        again.load()


def test_the_last_good_file_is_never_removed(tmp_path, monkeypatch):
    checkpoint = torch.Checkpoint(tmp_path, count=Counter(1), keep=1)
    checkpoint.save(1)
    real = os.replace

    def damaging(source, target):
        real(source, target)
        damage(Path(target))

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", damaging)
        with pytest.raises(RuntimeError, match="have changed"):
            checkpoint.save(2)
    assert checkpoint.steps() == [1, 2]
    with pytest.warns(UserWarning, match="left out"):
        assert torch.Checkpoint(tmp_path, count=Counter()).load() == 1
    for name in ("os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
            with pytest.raises(OSError, match="No space"):
                checkpoint.save(3)
        assert names(tmp_path) == ["step-00000001.pt", "step-00000002.pt"]


def test_going_back_to_an_earlier_step(tmp_path):
    count = Counter()
    checkpoint = torch.Checkpoint(tmp_path, count=count, keep=5)
    for count.value in (1, 2, 3):
        checkpoint.save(count.value)
    assert checkpoint.load(1) == 1 and count.value == 1 and checkpoint.steps() == [1, 2, 3]
    checkpoint.save(2)
    assert checkpoint.steps() == [1, 2]
    with pytest.raises(FileNotFoundError):
        checkpoint.load(3)


def test_wrong_uses(tmp_path):
    with pytest.raises(TypeError, match="model cannot be saved"):
        torch.Checkpoint(tmp_path, model=3)
    with pytest.raises(ValueError, match="cannot have this name"):
        torch.Checkpoint(tmp_path, step=Counter())
    for keep in (0, "all"):
        with pytest.raises(ValueError, match="keep must be"):
            torch.Checkpoint(tmp_path, keep=keep)
    checkpoint = torch.Checkpoint(tmp_path, count=Counter())
    for step in (-1, 1.5, "a", True):
        with pytest.raises(ValueError, match="no number"):
            checkpoint.save(step)
    checkpoint.save(5)
    with pytest.raises(ValueError, match="less than that of the last file"):
        checkpoint.save(4)
    with pytest.raises(RuntimeError, match="files of another run"):
        torch.Checkpoint(tmp_path, count=Counter()).save(6)
    with pytest.raises(KeyError, match="no state of other"):
        torch.Checkpoint(tmp_path, count=Counter(), other=Counter()).load()
    with pytest.raises(TypeError, match="not data"):
        torch.Checkpoint(tmp_path / "new", count=Counter(Counter())).save(1)
    assert not (tmp_path / "new").exists()
    torch.save({"model": 1}, checkpoint.path(7))
    with pytest.warns(UserWarning, match="left out"):
        assert checkpoint.load() == 5


def test_leftovers_of_a_killed_save_are_removed(tmp_path):
    (tmp_path / ".step-00000001.pt.123-abcd.tapegrad-tmp").touch()
    (tmp_path / ".other.pt.123-abcd.tapegrad-tmp").touch()
    torch.Checkpoint(tmp_path, count=Counter()).save(1)
    assert names(tmp_path) == [".other.pt.123-abcd.tapegrad-tmp", "step-00000001.pt"]


# ---- kill -9 ---------------------------------------------------------------------------------------------------------


def start(folder: Path, out: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "resumed_training.py"), str(folder), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def finished(process: subprocess.Popen) -> None:
    """Wait for a run to end well."""
    _, errors = process.communicate()
    assert process.returncode == 0 and not errors, errors.decode()


def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    """Set TAPEGRAD_KILLS for more than 6; after the last the run is left to finish. Finished runs start anew."""
    rng = random.Random(os.environ.get("TAPEGRAD_KILLS_SEED", "0"))
    expected_file = tmp_path / "expected.pt"
    began = time.monotonic()
    process = start(tmp_path / "whole", expected_file)
    assert process.stdout.readline() == b"0\n"
    ready = time.monotonic()
    finished(process)
    before, training = ready - began, time.monotonic() - ready
    expected = expected_file.read_bytes()
    kills, rounds, resumed = 0, 0, []
    while kills < KILLS:
        rounds += 1
        folder, out = tmp_path / f"run{rounds}", tmp_path / f"out{rounds}.pt"
        while not out.exists():
            process = start(folder, out)
            if kills < KILLS:
                moment = rng.random() * before * 1.2  # some while it starts and loads
                if rng.random() < 0.85:
                    resumed.append(int(process.stdout.readline()))
                    moment = rng.random() * 0.6 * training
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(moment)
            if kills < KILLS and process.poll() is None:
                process.kill()
                process.communicate()
                kills += 1
            else:
                finished(process)
            if folder.exists() and (steps := torch.Checkpoint(folder).steps()):
                assert torch.Checkpoint(folder).load() == steps[-1] and len(steps) <= 3
        assert out.read_bytes() == expected
    assert any(step > 0 for step in resumed), resumed
    print(f"{kills} kills in {rounds} runs; they went on from the steps {resumed}")
