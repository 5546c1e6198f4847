"""A run's tables on the screen, and as the results section of ``docs/benchmarks.md``."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import numpy as np
import psutil
import xgboost
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.serving.results.tables import Report, Table, faults, tables


def show(report: Report, console: Console) -> None:
    """All tables, the targets last."""
    targets, *others = tables(report)
    for table in (*others, targets):
        console.print(rich_table(table))
        if table.note:
            console.print(table.note)
    console.print(f"{report.machine}; {report.versions}\n{report.method}", highlight=False)
    for fault in faults(report):
        console.print(f"[red]fault:[/red] {fault}", highlight=False)


def markdown(report: Report) -> str:
    """The results section."""
    parts = [f"{report.machine}.  \n{report.versions}.  \n{report.method}"]
    parts += [markdown_table(table) for table in tables(report)]
    wrong = faults(report)
    parts.append("\n".join(f"- {fault}" for fault in wrong) if wrong else _ALL_GOOD)
    return "\n\n".join(parts) + "\n"


_ALL_GOOD = (
    "Every reply had status 200 (or 429, where a column counts it), and every score that was compared equals "
    "`inplace_predict`'s."
)


def machine() -> str:
    """Processor, cores, memory, system."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = cpuinfo.partition("model name")[2].partition(":")[2].partition("\n")[0].strip() or platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    return f"{model}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def versions() -> str:
    """The versions: this checkout and the libraries that matter."""
    root = Path(__file__).parents[3]
    git = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "no commit"
    return (
        f"snowsage {commit}, Python {platform.python_version()}, XGBoost {xgboost.__version__}, numpy {np.__version__}"
    )


def rich_table(table: Table) -> RichTable:
    """One table for the screen."""
    shown = RichTable(title=table.title, title_justify="left")
    for index, name in enumerate(table.header):
        shown.add_column(name, justify="left" if index == 0 or table.words else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*row)
    return shown


def markdown_table(table: Table) -> str:
    """One table with its title and note."""
    return f"### {table.title}\n\n{_markdown(table)}" + f"\n\n{table.note}" * bool(table.note)


def _markdown(table: Table) -> str:
    lines = [table.header, ("---", *["---" if table.words else "---:"] * (len(table.header) - 1)), *table.rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
