"""A table's cells as text."""

NONE = "not run"


def number(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}g}"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def said(value: float | None, form: str, none: str = NONE) -> str:
    return none if value is None else form.format(value)
