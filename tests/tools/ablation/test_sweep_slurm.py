"""scripts/sweep.slurm: W&B's agents as a SLURM array."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "sweep.slurm"


@pytest.mark.parametrize(("gpus", "agents"), [("0,1", ["0 2", "1 2"]), ("", ["none 4"])])
def test_the_array_script_starts_an_agent_per_gpu(tmp_path, gpus, agents):
    bin = tmp_path / ".venv" / "bin"
    bin.mkdir(parents=True)
    said = '"$* ${CUDA_VISIBLE_DEVICES:-none} $OMP_NUM_THREADS $DATA $(command -v wandb)"'
    (bin / "wandb").write_text(f"#!/bin/sh\necho {said} >> agents\n")
    (bin / "wandb").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "SLURM_CPUS_PER_TASK": "4", "DATA": "camvid"}
    environment |= {"CUDA_VISIBLE_DEVICES": gpus} if gpus else {}
    script = ["bash", str(SCRIPT)]
    subprocess.run([*script, "me/pspnet/x1"], cwd=tmp_path, env=environment, check=True)
    lines = sorted((tmp_path / "agents").read_text().splitlines())
    assert lines == [f"agent me/pspnet/x1 {a} camvid {bin}/wandb" for a in agents]
    (bin / "wandb").write_text("#!/bin/sh\nexit 3\n")
    failed = subprocess.run([*script, "x"], cwd=tmp_path, env=environment)
    assert failed.returncode == 1
    unnamed = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert unnamed.returncode == 1
    assert unnamed.stderr.startswith("error: ")
