"""A study in PostgreSQL, as several machines would share it."""

import signal

import optuna
import pytest

from tests.postgresql import POSTGRES, postgres
from tests.sweep.commands import Commands


@pytest.mark.skipif(not POSTGRES, reason="no PostgreSQL in /usr/lib/postgresql")
def test_a_study_is_shared_and_gone_on_with(commands: Commands) -> None:
    with postgres() as database:
        study = ("hydra/sweeper=optuna", "hydra.sweeper.study=s", f"hydra.sweeper.storage={database}")
        command = ("-m", *study, "hydra.sweeper.n_trials=8", "x=interval(-10,10)", "seconds=0.2")
        killed = commands.start(*command)
        assert killed.stdout is not None
        for line in killed.stdout:
            if line.startswith("trial 1:"):
                killed.send_signal(signal.SIGKILL)
                break
        killed.wait(60)
        processes = [commands.start(*command) for _ in range(2)]
        printed = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], printed
        trials = optuna.load_study(study_name="s", storage=database).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 8
    assert len({trial.user_attrs["sweeper"]["pid"] for trial in trials}) == 3
