"""Helmholtz (1, 4) by random Fourier features and one linear solve. The ball holds the source's wavenumbers, pi (1, 4)."""

from _helmholtz import ENDS, SQUARE, exact, problem
from _study import Preset, Row, main, whole

from pdesurr.models.features import RandomFourierField
from pdesurr.train.physics import LeastSquares


def network(key, features=1000, scale=20.0):
    return RandomFourierField(*ENDS, 1, features, scale, law="ball", key=key)


ROW = Row("Helmholtz (1, 4), Fourier features", whole(lambda n: problem(n, 1, 4), network), SQUARE, exact(1, 4), {
    "smoke": Preset(400, {"features": 100}, (LeastSquares(1),), (0,)),
    "cpu": Preset(4000, {}, (LeastSquares(1),)),
}, published=1.37e-5, must=1e-8, aim=1e-12, source="PIG with a SIREN head")

if __name__ == "__main__":
    main(ROW)
