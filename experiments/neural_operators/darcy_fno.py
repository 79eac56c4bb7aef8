"""Darcy, FNO. Claim: .0108, .0109, .0109, .0098 at 85 ... 421 nodes an axis (JMLR 24(89)), there by one training each; ours is one
training at 85. Coordinates are input channels; padding is a share of the domain, so that the same operator acts at 421.
"""

from _darcy import Preset, TrainConfig, data, main, relative_h1, row, smoke

from pdesurr.models import FNO


def network(train, key, modes=12, width=32, head_width=128):
    return FNO(1, 1, (modes, modes), width, head_width=head_width, coordinates=(True, True), key=key)


ROW = row("FNO", network, {
    "smoke": smoke(modes=4, width=8, head_width=8),
    "cpu": Preset(data(), TrainConfig(epochs=60, batch_size=5, learning_rate=1e-2, optimiser="muon")),
    "paper": Preset(data(), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3), (0, 1, 2)),
}, objective=relative_h1, allowed={"cpu": 0.0108})

if __name__ == "__main__":
    main(ROW)
