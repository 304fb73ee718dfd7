"""A study in PostgreSQL, as several machines would share it."""

import optuna
import pytest

from tests.postgresql import POSTGRES, postgres
from tests.sweep.commands import Commands, read_until


@pytest.mark.skipif(not POSTGRES, reason="no PostgreSQL in /usr/lib/postgresql")
def test_a_study_is_shared_and_resumed(commands: Commands) -> None:
    with postgres() as database:
        study = ("hydra/sweeper=optuna", "hydra.sweeper.study=s", f"hydra.sweeper.storage={database}")
        command = ("-m", *study, "hydra.sweeper.n_trials=5", "x=interval(-10,10)")
        commands.hold(1, 2)
        killed = commands.start(*command)
        read_until(killed, "x is", count=2)
        killed.kill()
        killed.wait()
        processes = [commands.start(*command) for _ in range(2)]
        for process in processes:
            read_until(process, "x is")
        commands.release(1, 2)
        printed = [process.communicate()[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], printed
        trials = optuna.load_study(study_name="s", storage=database).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 5
    assert len({trial.user_attrs["sweeper"]["pid"] for trial in trials}) == 3
