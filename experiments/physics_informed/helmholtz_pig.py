"""Helmholtz (1, 4) by at most the published number of Gaussians (Kang et al., ICLR 2025), their heads found by least squares."""

from _helmholtz import ENDS, SQUARE, exact, problem
from _study import Preset, Row, main, whole

from pdesurr.models.gaussians import GaussianField
from pdesurr.train.physics import LeastSquares


def network(key, gaussians=784, spread=0.3):
    return GaussianField(*ENDS, 1, gaussians, spread, lattice=True, key=key)


ROW = Row("Helmholtz (1, 4), Gaussians", whole(lambda n: problem(n, 1, 4), network), SQUARE, exact(1, 4), {
    "smoke": Preset(400, {"gaussians": 100, "spread": 0.5}, (LeastSquares(1),), (0,)),
    "cpu": Preset(4000, {}, (LeastSquares(2),)),
}, published=2.22e-5, must=2.2e-5, source="PIG, 3200 Gaussians and a perceptron")

if __name__ == "__main__":
    main(ROW)
