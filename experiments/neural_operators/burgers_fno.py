"""Burgers, FNO. Claim: .0018-.0020 at 256 ... 8192 nodes (JMLR 24(89), table 3: one training for each); ours is one training.

`cpu` is trained by Muon, its decay the best of .01, .1 and .5 on validation samples (in 60 epochs of batches of 20 at 256 nodes), its batch
of 10 better than 20 in as many epochs and than 5 in as many steps, and the block of neuraloperator 2.0, with a channel perceptron, better
than the published one in few epochs (30 at 512 nodes: .0025 against .0029; 400 at 1024: .0017 both). Eight blocks
without it are better on 250 samples (.0044 against .0067 by four, 2000 steps at 256 nodes), on all of them no better (.0017). No coordinate
channel, so the model commutes with shifts; reflected samples in training.
"""

from _burgers import Preset, TrainConfig, data, main, row, smoke

from pdesurr.models import FNO


def network(train, key, modes=16, width=64, head_width=128, channel_mlp=None):
    return FNO(1, 1, (modes,), width, head_width=head_width, channel_mlp=channel_mlp, key=key)


ROW = row("FNO", network, {
    "smoke": smoke(modes=8, width=16),
    "cpu": Preset(data(1024), TrainConfig(epochs=400, batch_size=10, learning_rate=3e-3, weight_decay=0.1, ema_decay=0.995,
                                          optimiser="muon"), (0, 1, 2), {"channel_mlp": 0.5}),
    "paper": Preset(data(1024), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3, weight_decay=0.1, ema_decay=0.995), (0, 1, 2)),
}, allowed={"cpu": 0.0021})

if __name__ == "__main__":
    main(ROW)
