"""What the cases start that has no command: a call of `fit` on a small problem, alone or as one of several processes.

    python _worker.py FOLDER '{"epochs": 40, "on_bad": "skip", "poison": 5, "join": ["127.0.0.1:1234", 2, 0], "slow": 0.02}'

The last line is a JSON object of what came out; failures end as they do on the command line, as one line and an exit code.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pdesurr.checks import PdesurrError

MARK = 100.0  # a value that no other sample has
SETTINGS = ("epochs", "on_bad", "max_bad", "learning_rate", "clip_norm")


def main(folder: str, how: dict[str, Any]) -> int:
    from pdesurr.train import processes

    if "join" in how:
        processes.join(*how["join"])
    try:
        print(json.dumps(train(Path(folder), how)), flush=True)
    except PdesurrError as error:
        print(f"pdesurr: error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def train(folder: Path, how: dict[str, Any]) -> dict[str, Any]:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from pdesurr.data.sources import ArraySource
    from pdesurr.fields import FourierBasis, Grid
    from pdesurr.models import FNO
    from pdesurr.objectives import relative_l2
    from pdesurr.train import TrainConfig, fit, loop

    grid = Grid([FourierBasis(16)])
    rng = np.random.default_rng(0)
    a = rng.standard_normal((40, 16, 1)).astype(np.float32)
    u = np.roll(a, 2, 1) ** 2
    if "poison" in how:
        a[how["poison"], 0, 0] = MARK

    def objective(m: Any, batch: Any, key: Any) -> Any:
        """Not finite for a batch that holds the marked sample, and in validation (which has no key) where that is asked for."""
        loss, metrics = relative_l2(m, batch, key)
        bad = jnp.max(batch.input.values) >= MARK if key is not None else how.get("poison_validation", False)
        return jnp.where(bad, jnp.nan, loss), metrics

    if "slow" in how:  # so that a kill meets it on the way
        epoch = loop._Run._epoch
        loop._Run._epoch = lambda *all_of_it: (time.sleep(how["slow"]), epoch(*all_of_it))[1]  # pyright: ignore
    model = FNO(1, 1, (4,), 6, 2, head_width=8, coordinates=(False,), key=jax.random.key(0))
    config = TrainConfig(batch_size=8, checkpoint_seconds=0.0, **{k: how[k] for k in SETTINGS if k in how})
    found = fit(model, ArraySource(a[:32], u[:32], grid), objective, config, validate=ArraySource(a[32:], u[32:], grid), folder=folder)
    weights = [np.asarray(v) for v in jax.tree.leaves(eqx.filter((found.state.params, found.model), eqx.is_inexact_array))]
    numbers = [r["loss"] for r in found.history] + [float(found.best_metric)]
    return {"finite": all(n is not None and np.isfinite(n) for n in numbers) and all(np.isfinite(w).all() for w in weights),
            "dropped": int(found.state.bad_steps), "resumed_at": found.resumed_at,
            "weights": hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], json.loads(sys.argv[2])))
