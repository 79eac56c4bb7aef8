"""The Korteweg-de Vries equation with delta = 0.022 from cos(pi x): a train of solitons."""

import jax.numpy as jnp
from _periodic import periodic_row
from _study import Preset, main

from pdesurr.pdes import KortewegDeVries
from pdesurr.train.stages import LeastSquares

ROW = periodic_row("Korteweg-de Vries, Fourier features by windows", KortewegDeVries(), lambda x: jnp.cos(jnp.pi * x), {
    "smoke": Preset(300, {"windows": 2, "features": 60, "waves": 8}, (LeastSquares(2),), (0,)),
    "cpu": Preset(3500, {"windows": 40, "features": 1200, "waves": 80, "scale": 1.8}, (LeastSquares(6),)),
}, published=3.40e-4, must=2e-3, aim=3.4e-4, nodes=512, records=400, source="SOAP")

if __name__ == "__main__":
    main(ROW)
