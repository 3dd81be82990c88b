"""All benchmarks in one run, one table: ``make bench``."""

from __future__ import annotations

import platform

from benchmarks import bench_distance, bench_field, bench_plan, bench_read, bench_search
from benchmarks.table import Row, print_table
from planner.geometry.threads import n_threads


def _reading() -> list[Row]:
    rows = []
    for row in bench_read.run():
        ours = row.name.startswith("planner")
        rows.append(
            Row(
                "reading",
                row.name,
                f"{row.seconds * 1e3:.0f} ms",
                f"{row.ratio:.2f} x",
                "<= 1.5 x" if ours else "",
                row.ratio <= 1.5 if ours else None,
            )
        )
    return rows


def main() -> None:
    """Run every benchmark and print the table."""
    print(f"{platform.machine()}, {n_threads()} threads, Python {platform.python_version()}")
    rows = [*bench_distance.run(), *bench_search.run(), *bench_plan.run()]
    rows += [*bench_field.run(), *_reading()]
    print_table(rows)
    missed = [row.name for row in rows if row.met is False]
    print("all goals met" if not missed else f"goals missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
