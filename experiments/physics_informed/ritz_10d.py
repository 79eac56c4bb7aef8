"""The nonlinear elliptic problem in 10 dimensions by its energy."""


