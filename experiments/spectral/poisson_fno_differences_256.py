"""Poisson, periodic, FNO and a finite-difference residual on 256 nodes an axis. Claim: 1.75 % (Du et al., ICLR 2024,
"FNO + PINN", 256)."""

from _poisson import Preset, differences, fno, main, row

ROW = row("Poisson periodic, FNO by differences, 256", fno, differences, {
    "smoke": Preset(20, 6, batch=2, size={"modes": 4, "width": 8, "depth": 1}, seeds=(0,), tests=(4, 4)),
    "cpu": Preset(256, 600, 3e-3, batch=4, seeds=(0,)),
    "paper": Preset(256, 30_000, size={"modes": 16, "width": 64}),
}, published=1.75e-2, must=1.75e-2, tested=256)

if __name__ == "__main__":
    main(ROW)
