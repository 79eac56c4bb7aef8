"""Burgers, low-rank neural operator. Claim: .0189-.0221 at 256 ... 8192 nodes (JMLR 24(89), table 3).

Trained on 128 nodes, where the periodic quadrature of its integrals is exact to the 64th wave.
"""

import math

from _burgers import LINE, Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import LNO


def network(train, key, width=16, rank=4, depth=4, kernel=(32, 64)):
    return LNO(1, 1, 1, width, rank, depth, kernel=kernel, period=(2 * math.pi,), key=key)


ROW = row("LNO", network, {
    "smoke": smoke(width=4, rank=2, depth=2, kernel=(8,)),
    "cpu": Preset(data(128), TrainConfig(epochs=200, batch_size=20, learning_rate=1.5e-2, optimiser="muon")),
}, symmetries=LINE, allowed={"cpu": 0.0221})

if __name__ == "__main__":
    main(ROW)
