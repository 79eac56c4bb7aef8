"""Run a command whose last line is a JSON object and keep it as experiments/results/NAME.json with command, commit and wall time.

    python experiments/record.py burgers_generation python experiments/benchmarks/burgers_generation.py --json
    python experiments/record.py run_cpu python -m pdesurr run --preset cpu --json

    python experiments/record.py --join neural_operators/NAME_cpu python experiments/neural_operators/NAME.py --seeds 1 2 --json

`--join`: the seeds of the command are added to those of the record that is there. Then `python experiments/render.py` fills the tables.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.join import joined

HERE = Path(__file__).resolve().parent


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    join = sys.argv[1] == "--join"
    name, *command = sys.argv[1 + join :]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    began = time.perf_counter()
    done = subprocess.run([sys.executable if command[0] == "python" else command[0], *command[1:]], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return done.returncode
    result = json.loads(done.stdout.strip().splitlines()[-1])
    kept = {**result, "command": " ".join(command), "commit": commit, "wall_seconds": time.perf_counter() - began}
    file = HERE / "results" / f"{name}.json"
    if join:
        kept = joined(json.loads(file.read_text()), kept)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
