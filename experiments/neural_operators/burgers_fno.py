"""Burgers, FNO. Claim: .0018-.0020 at 256 ... 8192 nodes (JMLR 24(89), table 3: one training for each); ours is one training at 1024.

`cpu`: half the width, fewer epochs. No coordinate channel, so the model commutes with shifts; scaled about zero; reflected samples
in training; rates and weight decay of the main job (`pdesurr run`).
"""

from _burgers import Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import FNO


def network(train, key, modes=16, width=64, head_width=128):
    return FNO(1, 1, (modes,), width, head_width=head_width, key=key)


ROW = row("FNO", network, {
    "smoke": smoke(modes=8, width=16),
    "cpu": Preset(data(1024), TrainConfig(epochs=200, batch_size=20, learning_rate=5e-3, ema_decay=0.995), (0, 1, 2),
                  {"width": 32, "head_width": 64}),
    "paper": Preset(data(1024), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3, weight_decay=0.1, ema_decay=0.995), (0, 1, 2)),
}, allowed={"cpu": 0.005})

if __name__ == "__main__":
    main(ROW)
