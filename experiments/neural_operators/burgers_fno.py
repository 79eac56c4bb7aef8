"""Burgers, FNO. Claim: .0018-.0020 at 256 ... 8192 nodes (JMLR 24(89), table 3: one training for each); ours is one training.

`cpu` is trained by Muon on the H1 norm, six blocks: the lowest errors on validation samples, after short trainings on 256 nodes, among
depths of 4, 6 and 8, the L2 and the H1 norm, decays of .03, .1 and .4, and 10 000 and 20 000 steps (not all combinations); the batch of 10
was chosen among 5, 10 and 20 by four blocks on the L2 norm. No coordinate channel, so the model commutes with shifts; reflected samples in
training, and the answer is the average over both reflections.
"""

from _burgers import Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import FNO
from pdesurr.objectives import relative_h1


def network(train, key, modes=16, width=64, depth=4, head_width=128):
    return FNO(1, 1, (modes,), width, depth, head_width=head_width, key=key)


ROW = row("FNO", network, {
    "smoke": smoke(modes=8, width=16),
    "cpu": Preset(data(1024), TrainConfig(epochs=200, batch_size=10, learning_rate=3e-3, weight_decay=0.03, ema_decay=0.995,
                                          optimiser="muon"), (0, 1, 2), {"depth": 6}),
    "paper": Preset(data(1024), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3, weight_decay=0.1, ema_decay=0.995), (0, 1, 2)),
}, objective=relative_h1, symmetrised="reflection", allowed={"cpu": 0.0015})

if __name__ == "__main__":
    main(ROW)
