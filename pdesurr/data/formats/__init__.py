"""Layouts that other projects write, each recognised by its structure and read as a data file of ours would be."""

from typing import Any

from pdesurr.data._arrays import Arrays
from pdesurr.data.formats import fno, pdebench, well
from pdesurr.data.formats._layout import Layout
from pdesurr.data.formats.axes import Wishes

# Asked in this order; each answers with a `Layout`, or None for a file that is not its own.
RECOGNISERS = (well.recognise, pdebench.recognise, fno.recognise)
KNOWN = "PDEBench (tensor files, group files, incompressible flow), The Well, FNO .mat files (a and u; coeff and sol; a, u and t)"


def recognise(source: Arrays, path: Any, wishes: Wishes | None = None) -> Layout | None:
    """The layout of an open file, or None. Raises `DatasetError` for one that has the names of a layout but breaks its rules."""
    for ask in RECOGNISERS:
        layout = ask(source, path, wishes or Wishes())
        if layout is not None:
            return layout
    return None
