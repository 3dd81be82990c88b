"""``needle-planner serve``: a plan kept ready for consoles that ask."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from planner.cli.console import Console
from planner.cli.export import note_left_out
from planner.cli.runner import ExitCode

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def run_serve(
    console: Console,
    plan_file: Path,
    *,
    port: int,
    host: str,
    ranks: tuple[int, ...] | None,
    even_if_unknown: bool,
    thickness: str,
) -> ExitCode:
    """OK when it was interrupted: it serves until then."""
    from planner.exports.igtl_link import PlanServer
    from planner.exports.igtl_plan import Thickness, plan_messages
    from planner.exports.plan_to_export import plan_to_export

    plan = plan_to_export(plan_file, ranks=ranks, even_if_unknown=even_if_unknown)
    messages = plan_messages(plan, thickness=Thickness(thickness), time_s=time.time())
    note_left_out(console, plan)
    if host not in LOOPBACK:
        console.note(f"note: whoever reaches {host} can read the plan: there is no encryption")
    with PlanServer(messages, host, port, note=console.note) as server:
        names = ", ".join(plan.name_of(path) for path in plan.paths)
        console.result(f"Serving {names} with OpenIGTLink at {host}:{server.port}; Ctrl-C ends it")
        # In a thread, so that an interrupt reaches this one and can end it in order.
        worker = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        worker.start()
        try:
            while worker.is_alive():
                worker.join(0.5)
        except KeyboardInterrupt:
            console.note("ended")
        finally:
            server.shutdown()
    return ExitCode.OK
