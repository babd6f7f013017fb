"""Commands of this machine: up, settings, doctor, backup and restore."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gimbal.faces.cli import show, values
from gimbal.kernel.settings import LoadedSettings, load_settings

DataFlag = Annotated[Path | None, Parameter(help="Data folder; .gimbal otherwise.")]


def _load(data: Path | None = None, **flags: object) -> LoadedSettings:
    return load_settings(flags={"data": str(data) if data else None, **flags})


def up(
    *,
    data: DataFlag = None,
    host: Annotated[str | None, Parameter(help="Address to listen on; 127.0.0.1 otherwise.")] = None,
    port: Annotated[int | None, Parameter(help="Port; 8765 otherwise.")] = None,
    grpc_port: Annotated[int | None, Parameter(help="Port of OTLP over gRPC; 4317 otherwise, 0 for none.")] = None,
    role: Annotated[
        Literal["all", "server", "gateway", "worker", "model"],
        Parameter(help="Everything, or one process over shared stores."),
    ] = "all",
    log_format: Annotated[str | None, Parameter(help="text or json.")] = None,
) -> None:
    """Start Gimbal and keep it up until Ctrl-C.

    Everything runs on one port: API, console, OTLP over HTTP, the gateway. `gateway.processes` in gimbal.toml adds processes
    that answer model calls alone, on `gateway.port`.
    """
    from gimbal.faces.server import logs
    from gimbal.faces.server.supervisor import Supervisor

    listening = "gateway.port" if role == "gateway" else "server.port"
    loaded = _load(
        data, **{"server.host": host, listening: port, "server.grpc_port": grpc_port, "log.format": log_format}
    )
    settings = loaded.settings
    logs.set_up(settings.log, "gimbal")
    for name in loaded.unknown_variables:
        show.line(f"note: {name} names no setting; see `gimbal settings`", style="yellow")
    if role != "all":
        from gimbal.faces.server import process

        raise SystemExit(process.run_alone(role, settings))
    address = f"http://{settings.server.host}:{settings.server.port}"

    def ready(seconds: float) -> None:
        show.line(f"Gimbal is up on {address} after {seconds:.1f} s. Ctrl-C stops it.", style="bold green")
        if count := settings.gateway.processes:
            doors = f"http://{settings.server.host}:{settings.gateway.port}"
            show.line(f"Model calls also on {doors}, by {count} more process{'es' if count > 1 else ''}.")
        show.line(f"Data: {settings.folder}")

    raise SystemExit(Supervisor(settings).run(ready))


def settings(
    *,
    data: DataFlag = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Print every setting with its value, where the value came from, and what it means.

    Settings stand in gimbal.toml, or in variables: server.port is GIMBAL_SERVER_PORT.
    """
    loaded = _load(data)
    if json:
        show.result(loaded.values(), as_json=True)
        return
    section = ""
    for row in loaded.values():
        if row.path.partition(".")[0] != section:
            section = row.path.partition(".")[0]
            show.line("")
        value = "–" if row.value in ("", None, [], ()) else row.value
        if row.path.endswith("_bytes") and isinstance(row.value, int):
            value = f"{value} ({values.size(row.value)})"
        show.line(
            f"{row.path} = {value}" + ("" if row.source == "default" else f"   (from {row.source})"), style="bold"
        )
        show.paragraph(row.meaning, indent=4)
    for name in loaded.unknown_variables:
        show.line(f"note: {name} names no setting", style="yellow")


def doctor(*, data: DataFlag = None) -> None:
    """Check what Gimbal needs here: versions, folder, disk, ports, clock, engines; say how to mend what is wrong."""
    from gimbal.faces.server.doctor import examine

    wrong = 0
    for finding in examine(_load(data).settings):
        mark, style = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow")}.get(finding.state, ("FAIL", "bold red"))
        wrong += finding.state == "fail"
        show.line(f"{mark}  {finding.part:<19} {finding.message}", style=style)
        if finding.todo:
            show.line(f"      {'':<19} to do: {finding.todo}")
    show.line(f"{wrong} to mend" if wrong else "all well", style="bold red" if wrong else "bold green")
    raise SystemExit(1 if wrong else 0)


def backup(target: Annotated[Path, Parameter(help="Folder that does not exist yet, on the server's machine.")]) -> None:
    """Copy everything of the running installation into a folder, with a digest of every file."""
    from gimbal.faces.client.client import default_client

    show.result(default_client().backups.take(target=str(target.absolute())), as_json=False)


def restore(
    source: Annotated[Path, Parameter(help="Folder that a backup wrote.")],
    *,
    data: DataFlag = None,
    erasures: Annotated[
        Path | None, Parameter(help="File of `gimbal backups erasures --json`, for a backup that lay elsewhere.")
    ] = None,
) -> None:
    """Restore a backup into a new data folder; every digest is checked before anything is written.

    Users who were erased since the backup are erased again before the server can start.
    """
    from gimbal.faces.server import safekeeping

    show.result(safekeeping.restore(source, _load(data).settings, erasures), as_json=False)
