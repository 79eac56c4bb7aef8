"""Helmholtz (10, 10) by random Fourier features and one linear solve. The ball holds the source's wavenumbers, pi (10, 10)."""

from _helmholtz import ENDS, SQUARE, exact, problem
from _study import Preset, Row, main, whole

from pdesurr.models.features import RandomFourierField
from pdesurr.train.physics import LeastSquares


def network(key, features=2500, scale=50.0):
    return RandomFourierField(*ENDS, 1, features, scale, law="ball", key=key)


ROW = Row("Helmholtz (10, 10), Fourier features", whole(lambda n: problem(n, 10, 10), network), SQUARE, exact(10, 10), {
    "smoke": Preset(400, {"features": 100}, (LeastSquares(1),), (0,)),
    "cpu": Preset(8000, {}, (LeastSquares(1),)),
}, published=7.09e-3, must=7e-3, aim=1e-6, source="PIG")

if __name__ == "__main__":
    main(ROW)
