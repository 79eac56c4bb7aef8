"""What the norm and the padding of a spectral loss are worth: the same network, steps and seeds, trained by each.

    python experiments/spectral/losses.py [--preset smoke|cpu] [--out FOLDER] [--json]

Reaction-diffusion at nu = .01. "plain sum" adds squared Chebyshev and Fourier coefficients as they are, as the official code does; "norm"
weighs them to the L2 norm (Parseval). "aliased" takes products on as many nodes as the answer has modes, "exact" on twice as many.
"""

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import jax.numpy as jnp
import numpy as np
from _reaction import PRESETS, row
from _study import RECORDS, Preset, error_of, solved, trained
from jaxtyping import Array

from experiments.options import arguments, slug
from pdesurr.allocator import tune_allocator
from pdesurr.fields import Grid, SpectralField
from pdesurr.models import Records
from pdesurr.objectives import SpectralResidual
from pdesurr.workflow import environment

CHOICES = {"smoke": PRESETS["smoke"], "cpu": dataclasses.replace(PRESETS["cpu"], steps=1500, seeds=(0, 1))}


@dataclasses.dataclass(frozen=True)
class PlainSum(SpectralResidual):
    """The sum of the residual's squared coefficients."""

    def square(self, u: Array, a: Array, space: Grid, x: Grid) -> Array:
        fine = x.with_shape(*(int(np.ceil(self.padding * n)) for n in x.shape))
        field = SpectralField(fine, hat=x.resample_hat(x.transform(u[..., 0]), *fine.shape), dealias=1.0)
        hat = jnp.asarray(self.pde.residual(field).coefficients)  # pyright: ignore[reportAttributeAccessIssue]
        return jnp.sum(jnp.real(hat) ** 2 + jnp.imag(hat) ** 2)


def main() -> None:
    options = arguments((__doc__ or "").splitlines()[0], CHOICES, out="checkpoints").parse_args()
    tune_allocator()
    preset: Preset = CHOICES[options.preset]
    plain = row(0.01)
    held, tested = (solved(plain, count, seed) for count, seed in zip(preset.tests, (10**6, 10**6 + 1), strict=True))
    time, rows = preset.size.get("time", 16), []
    for name, kind, padding in (("norm, exact", SpectralResidual, 2.0), ("norm, aliased", SpectralResidual, 1.0),
                                ("plain sum, exact", PlainSum, 2.0), ("plain sum, aliased", PlainSum, 1.0)):
        loss = kind(plain.pde, time=time, padding=padding)
        each = []
        for seed in preset.seeds:
            folder = options.out / f"losses-{options.preset}" / slug(name, seed)
            model, _ = trained(dataclasses.replace(plain, objective=lambda _, loss=loss: loss), preset, seed, held, folder)
            each.append(float(np.mean(error_of(Records(model, RECORDS), tested))))
        rows.append({"loss": name, "error": float(np.mean(each)), "each": each})
        print(f"{name}: {rows[-1]['error']:.2e}", flush=True)
    if options.json:
        print(json.dumps({"study": "losses", "preset": dataclasses.asdict(preset), "rows": rows, "environment": environment()}))


if __name__ == "__main__":
    main()
