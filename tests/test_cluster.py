import pytest

from unroll.cluster import Cluster, is_speaker

TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"}
TASK = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "9", "SLURM_NNODES": "3"}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*TORCHRUN, *STEP, *TASK):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def here(given: pytest.MonkeyPatch, variables: dict[str, str]) -> Cluster | None:
    for name, value in variables.items():
        given.setenv(name, value)
    return Cluster.here()


def test_a_process_of_torchrun_knows_its_place(given: pytest.MonkeyPatch) -> None:
    cluster = here(given, TORCHRUN)
    assert cluster == Cluster("torchrun", rank=5, local_rank=1, processes=8, nodes=2)
    assert cluster.per_node == 4


def test_a_task_of_srun_knows_its_place_in_the_step_not_in_the_job(given: pytest.MonkeyPatch) -> None:
    assert here(given, STEP | TASK) == Cluster("srun", rank=3, local_rank=1, processes=4, nodes=2)


def test_a_step_without_its_own_numbers_has_those_of_the_job(given: pytest.MonkeyPatch) -> None:
    assert here(given, {"SLURM_STEP_ID": "0"} | TASK) == Cluster("srun", 3, 1, processes=9, nodes=3)


@pytest.mark.parametrize(
    "variables",
    [{}, TASK, STEP | TASK | {"SLURM_STEP_NUM_TASKS": "1"}],
    ids=["a shell", "the script of sbatch", "a single task"],
)
def test_a_process_that_was_started_alone_has_none(variables: dict[str, str], given: pytest.MonkeyPatch) -> None:
    assert here(given, variables) is None
    assert is_speaker()


def test_the_first_process_of_a_node_prints_errors(given: pytest.MonkeyPatch) -> None:
    assert here(given, TORCHRUN) and not is_speaker()
    given.setenv("LOCAL_RANK", "0")
    assert is_speaker()
