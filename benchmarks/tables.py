"""Tables for a terminal and for a page, from records."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from benchmarks.peers import OURS, PEERS
from benchmarks.records import Record, geometric_mean, median

LAYER_QUANTITIES = {"forward": "forward", "forward_backward": "forward + backward"}


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with blanks, the first to the left, the others to the right.

    >>> print(text_table(["size", "ms"], [["1,2", "0.5"], ["10,2", "12.0"]]))
    size    ms
    1,2    0.5
    10,2  12.0
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table.

    >>> print(markdown_table(["size", "ms"], [["1,2", "0.5"]]))
    | size | ms |
    | --- | ---: |
    | 1,2 | 0.5 |
    """
    marks = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, marks, *rows))


def milliseconds(seconds: float) -> str:
    """Three significant digits.

    >>> milliseconds(0.000184), milliseconds(0.0124), milliseconds(0.3691)
    ('0.184', '12.4', '369')
    """
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def ordered_peers(records: Sequence[Record]) -> list[str]:
    """Names of the peers that appear, ours first."""
    present = {record["peer"] for record in records}
    return [name for name in PEERS if name in present]


def comparison_tables(records: Sequence[Record], titles: Mapping[str, str], corner: str) -> str:
    """A table for each cell and quantity that has a timing."""
    parts = []
    for cell in dict.fromkeys(record["cell"] for record in records):
        for quantity, title in titles.items():
            header, rows = comparison(records, cell, quantity, corner)
            if len(header) > 1:
                parts.append(f"{cell}, {title}, milliseconds (and how many times jaxrnn's)")
                parts.append(text_table(header, rows) + "\n")
    return "\n".join(parts)


def comparison(
    records: Sequence[Record], cell: str, quantity: str, corner: str
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: sizes down, peers across, milliseconds and how many times ours that is."""
    chosen = [r for r in records if r["cell"] == cell and r.get("quantity") == quantity]
    times = {
        (record["problem"], record["peer"]): seconds
        for record in chosen
        if (seconds := median(record)) is not None
    }
    peers = ordered_peers([record for record in chosen if "seconds" in record])
    problems = list(dict.fromkeys(record["problem"] for record in chosen))
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    rows = []
    for problem in problems:
        ours = times.get((problem, OURS))
        row = [problem.removeprefix(f"{cell} ")]
        for name in peers:
            seconds = times.get((problem, name))
            if seconds is None:
                row.append("–")
            elif ours is None or name == OURS:
                row.append(milliseconds(seconds))
            else:
                ratios[name].append(seconds / ours)
                row.append(f"{milliseconds(seconds)} ({seconds / ours:.2f}×)")
        rows.append(row)
    if len(problems) > 1 and OURS in peers:
        means = [f"{geometric_mean(ratios[name]):.2f}×" if ratios[name] else "" for name in peers]
        rows.append(["geometric mean", *means])
    shares = [_limit_share(chosen, problem) for problem in problems]
    if not any(shares):
        return [corner, *peers], rows
    rows = [[*row, share] for row, share in zip_longest(rows, shares, fillvalue="")]
    return [corner, *peers, "of the limit"], rows


def _limit_share(records: Sequence[Record], problem: str) -> str:
    """What share of the matrix-product rate ours reaches."""
    for record in records:
        if record["problem"] == problem and record["peer"] == OURS:
            limit = record.get("matrix_product_flops_per_second")
            if limit:
                return f"{record['flops_per_second'] / limit:.0%}"
    return ""


def failures(records: Sequence[Record]) -> list[str]:
    """A sentence for each error."""
    return [
        f"{record['problem']}: {record['peer']}"
        f"{' ' + record['quantity'] if record.get('quantity') else ''}: {record['error']}"
        for record in records
        if "error" in record
    ]


def absences(records: Sequence[Record]) -> list[str]:
    """A sentence for each reason why a peer took no part, and for each with other mathematics."""
    sentences = [
        f"{record['peer']}: {record['absent']}" for record in records if "absent" in record
    ]
    sentences += [
        f"{record['peer']}: computes {record['maths']}, not {record['cell']}, and was compared "
        f"with jaxrnn's {record['maths']}"
        for record in records
        if "maths" in record
    ]
    return list(dict.fromkeys(sentences))
