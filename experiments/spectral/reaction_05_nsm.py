"""Reaction-diffusion at nu = 0.05, neural spectral method."""

from _reaction import main, row

ROW = row(0.05)

if __name__ == "__main__":
    main(ROW)
