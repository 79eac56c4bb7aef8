"""Burgers, DeepONet. Claim: .0569-.0857 at 256 ... 8192 sensors (JMLR 24(89), table 3).

128 fixed sensors, to which finer inputs are resampled; the trunk sees cosine and sine of x, so that outputs are periodic. It does not
commute with shifts: trained under them, and averaged over them in the end.
"""

import math

from _burgers import LINE, Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import DeepONet


def network(train, key, width=256, depth=4, basis=128):
    return DeepONet(1, 1, train.grid.shape, width, depth, basis, period=(2 * math.pi,), key=key)


ROW = row("DeepONet", network, {
    "smoke": smoke(width=16, depth=2, basis=8),
    "cpu": Preset(data(128), TrainConfig(epochs=40, batch_size=20, learning_rate=4e-3, optimiser="muon"), (0, 1, 2)),
}, symmetries=LINE, symmetrised="line", allowed={"cpu": 0.045})

if __name__ == "__main__":
    main(ROW)
