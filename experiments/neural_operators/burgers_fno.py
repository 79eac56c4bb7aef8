"""Burgers, FNO. Claim: .0018-.0020 at 256 ... 8192 nodes (JMLR 24(89), table 3: one training for each); ours is one training.

`cpu` is trained by Muon, its decay the best of .01, .1 and .5 on validation samples (in 60 epochs of batches of 20 at 256 nodes), its batch
of 10 better than 20 in as many epochs and than 5 in as many steps. What it lacks is not fit but generalisation, and that is had by depth:
2000 steps on 250 samples at 256 nodes end at .0067 on validation samples by 4 blocks, .0046 by 6, .0044 by 8. No coordinate channel, so the
model commutes with shifts; reflected samples in training.
"""

from _burgers import Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import FNO


def network(train, key, modes=16, width=64, depth=4, head_width=128):
    return FNO(1, 1, (modes,), width, depth, head_width=head_width, key=key)


ROW = row("FNO", network, {
    "smoke": smoke(modes=8, width=16),
    "cpu": Preset(data(1024), TrainConfig(epochs=400, batch_size=10, learning_rate=3e-3, weight_decay=0.1, ema_decay=0.995,
                                          optimiser="muon"), (0, 1, 2), {"depth": 8}),
    "paper": Preset(data(1024), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3, weight_decay=0.1, ema_decay=0.995), (0, 1, 2)),
}, allowed={"cpu": 0.0018})

if __name__ == "__main__":
    main(ROW)
