"""The two forms of the Fourier layer, forward and backward: what `pdesurr.nn.cheaper` rests on.

Each row: seconds of the dense form (`ours_s`) and of the FFT form (`peer_s`), `ratio` = FFT over dense; `chosen` in the list
after the rows says which form the rule picks and what the wrong choices cost. Errors are the largest difference between the forms.

    python experiments/benchmarks/spectral_forms.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness

from pdesurr.allocator import tune_allocator

# (shape, modes, width, batch)
CASES = [
    ((256,), (16,), 64, 20), ((1024,), (16,), 64, 20), ((1024,), (64,), 64, 20), ((1024,), (256,), 32, 20),
    ((1000,), (128,), 32, 20), ((8192,), (16,), 64, 20), ((8192,), (128,), 32, 8), ((8192,), (512,), 16, 8),
    ((64, 64), (12, 12), 20, 20), ((64, 64), (32, 32), 20, 20), ((85, 85), (12, 12), 32, 20), ((85, 85), (40, 40), 16, 8),
    ((128, 128), (12, 12), 32, 8), ((128, 128), (64, 64), 16, 4), ((241, 241), (12, 12), 32, 4), ((256, 256), (12, 12), 32, 4),
    ((256, 256), (64, 64), 16, 2), ((256, 256), (120, 120), 8, 2), ((421, 421), (12, 12), 32, 2), ((512, 512), (100, 100), 8, 1),
    ((32, 32, 32), (8, 8, 8), 16, 4), ((32, 32, 32), (16, 16, 16), 8, 4), ((64, 64, 40), (8, 8, 8), 16, 2),
]


def measure(shape: tuple[int, ...], modes: tuple[int, ...], width: int, batch: int, rounds: int) -> tuple[dict, str]:
    import jax
    import jax.numpy as jnp

    from pdesurr.fields import FourierBasis, Grid
    from pdesurr.nn import SpectralConv, cheaper

    grid = Grid([FourierBasis(n) for n in shape])
    layer = SpectralConv(width, width, modes, key=jax.random.key(0))
    v, cotangent = jax.random.normal(jax.random.key(1), (2, width, batch, *shape))

    def both_ways(form):
        def f(layer, v, cotangent):
            u, back = jax.vjp(lambda layer, v: layer(v, grid, form=form), layer, v)
            return u, back(cotangent)

        return jax.jit(f)

    runs = {form: both_ways(form) for form in ("dense", "fft")}
    first, second = (run(layer, v, cotangent)[0] for run in runs.values())
    error = float(jnp.abs(first - second).max() / jnp.abs(second).max())
    seconds = harness.alternate({form: lambda run=run: run(layer, v, cotangent) for form, run in runs.items()}, rounds)
    name = f"{'x'.join(map(str, shape))} modes {modes[0]} width {width} batch {batch}"
    row = harness.row(name, seconds["dense"], "our FFT form", seconds["fft"], ours_error=error)
    return row, cheaper(shape, modes, jax.default_backend())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    rows, chosen = [], {}
    for shape, modes, width, batch in CASES:
        name = f"{'x'.join(map(str, shape))} modes {modes[0]} width {width} batch {batch}"
        if options.only in name:
            row, form = measure(shape, modes, width, batch, 3 if options.quick else 9)
            loss = max(1.0, row["ours_s"] / row["peer_s"] if form == "dense" else row["ratio"])
            rows.append(row)
            chosen[name] = {"rule": form, "times_slower_than_best": round(loss, 2)}
            print(f"{name}: fft / dense {row['ratio']:.2f}, rule {form}", file=sys.stderr, flush=True)
    harness.finish("spectral_forms", rows, options.json, chosen=chosen)


if __name__ == "__main__":
    main()
