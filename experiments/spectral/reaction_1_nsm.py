"""Reaction-diffusion at nu = 0.1, neural spectral method."""

from _reaction import PRESETS, main, row

ROW = row(0.1, PRESETS)

if __name__ == "__main__":
    main(ROW)
