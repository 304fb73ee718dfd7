"""``python -m unroll.plan`` prints the results of `make repro`, and commands to use them."""

from pathlib import Path

from unroll.exceptions import clear_errors
from unroll.files import read_json, read_yaml

EXAMPLES = {"classification": "Not bad at all.", "labeling": "Ada Brown flew to Lima."}


def next_steps(project: Path) -> list[str]:
    """Lines with the report and the champion of each dataset in params.yaml, and commands to use them."""
    plan = read_yaml(project / "params.yaml")
    lines, commands = [], []
    for task, text in EXAMPLES.items():
        for dataset in plan[task]["datasets"]:
            report = project / "reports" / dataset
            lines.append(f"{dataset}: {(report / 'index.html').relative_to(project)}")
            if (report / "champion.json").is_file():
                lines.append(f"    {read_json(report / 'champion.json')['reason']}")
                load = f"unroll.load('models:/{dataset}@champion')"
                commands.append(f".venv/bin/python -c \"import unroll; print({load}.predict(['{text}']))\"")
    return [
        "",
        *lines,
        "",
        "compare all runs in MLflow:  make ui",
        *(f"try a champion:              {command}" for command in commands),
        "everything else:             source .venv/bin/activate, then the commands of README.md",
    ]


if __name__ == "__main__":
    with clear_errors():
        print("\n".join(next_steps(Path.cwd())))
