"""Navier-Stokes, nu = 1e-3, FNO in two dimensions with roll-out. Claim: 0.0128 at 64 x 64 (Li et al., ICLR 2021; 1000 samples, to t = 50).

The network answers the next record from the last ten; training goes through all steps. `cpu` is the small form of `_navier_stokes.py`.
"""

from _navier_stokes import SHORT, Preset, TrainConfig, main, paper, row, short, smoke

from pdesurr.models import FNO, RollOut


def network(train, key, modes=12, width=20, head_width=128):
    inner = FNO(train.inputs.shape[-1], 1, (modes, modes), width, coordinates=(True, True), head_width=head_width, key=key)
    return RollOut(inner, train.outputs.shape[-1])


ROW = row("1e-3 FNO-2D", network, {
    "smoke": smoke(modes=4, width=4, head_width=8),
    "cpu": Preset(short("1e-3"), SHORT),
    "paper": Preset(paper("1e-3"), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3), (0, 1, 2)),
}, {"64x64": 0.0128}, allowed={"cpu": 0.01})

if __name__ == "__main__":
    main(ROW)
