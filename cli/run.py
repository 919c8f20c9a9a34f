"""`surfaces-bot run`: the daemon. Connects the packages to the runtime and listens for signals."""

import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import structlog

from actors.agent_calls import Limits
from actors.bot import Bot, first_cause
from actors.context import ContextProvider
from agent_platform import Registry, RegistryError
from cli.agents import load_configuration, open_platform, read_registry
from cli.announcements import agent_outage_logger, describe, outage_logger
from cli.env_file import loose_env_file
from cli.errors import CommandFailed, ExitCode, ending_of
from cli.file_limit import raise_file_limit
from cli.logs import set_up_logs
from cli.settings import Settings
from cli.signals import unblock
from machines.access import Access
from machines.errors import CredentialsRefused, SurfacesError
from machines.i18n import TEMPLATES, catalog_for
from machines.ids import UserId
from matrix import MatrixClient, SessionMismatch, SessionUnusable
from matrix.clock import SystemClock
from store import DaemonLock, DatabaseBusy, DatabaseFull, DatabaseLocked, DatabaseUnusable, Journal
from store.database import open_database
from store.errors import DatabaseForeign, unusable
from store.lock import lock_path, refuse_if_held
from store.ownership import refuse_foreign_file

GC_THRESHOLD = 10_000
"""New objects before a collection of the youngest generation; Python's default of 700 costs an eighth of the time."""


def run_daemon() -> None:
    """Run until a signal stops the daemon; the signal may already be pending.

    Raises:
        CommandFailed: with the exit code of contract S4 and one line about what to do.
    """
    settings, registry = load_configuration()
    _set_up_logs(settings, registry)
    if (loose := loose_env_file(_secrets(settings, registry))) is not None:
        advice = f"others can read the secrets in it: chmod 600 {loose.path}"
        structlog.get_logger().warning(
            "env_file_readable", path=str(loose.path), mode=loose.mode, advice=advice
        )
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    try:
        with _locked_files(settings.matrix_db_path, settings.matrix_store_path):
            anyio.run(_live, settings, registry)
    except (SurfacesError, ExceptionGroup) as error:
        cause = first_cause(error)
        failure = _failure(cause, settings)
        if failure is None:
            raise cause from error
        raise failure from error


@contextmanager
def _locked_files(database: Path, store: Path) -> Iterator[None]:
    """Lock the database and the store directory; when that fails, no file is created.

    Raises:
        DatabaseLocked: another daemon has locked one of them.
        DatabaseUnusable: the database can't be created, or is another program's.
        CommandFailed: the store directory can't be created (exit 2).
    """
    refuse_if_held(database, store)
    _refuse_missing_directory(database)
    refuse_foreign_file(database)
    with ExitStack() as stack:
        try:
            stack.enter_context(DaemonLock(database, store))
        except OSError as error:
            if error.filename is not None and Path(error.filename) == store:
                advice = "set it to a directory that this user may create and write"
                message = (
                    f"MATRIX_STORE_PATH: {store} can't be created ({error.strerror}); {advice}"
                )
                raise CommandFailed(ExitCode.USAGE, message) from error
            # The error of a failed write does not name the file.
            raise unusable(Path(error.filename or lock_path(database)), error) from error
        yield


def _refuse_missing_directory(database: Path) -> None:
    """Refuse a path whose directory is missing, which is not created: it is probably a typo.

    Raises:
        CommandFailed: there is no such directory (exit 4).
    """
    directory = Path(os.path.realpath(database)).parent
    if not os.path.lexists(directory):
        raise CommandFailed(
            ExitCode.DATABASE,
            f"MATRIX_DB_PATH: {database} can't be created, because the directory {directory} does not"
            " exist; create it, or set MATRIX_DB_PATH to another path",
        )


def _failure(cause: BaseException, settings: Settings) -> CommandFailed | None:
    """Return what the operator can do about an error; `None` for a fault of this program."""
    match cause:
        case DatabaseLocked():
            advice = "stop it first, or use another MATRIX_DB_PATH and MATRIX_STORE_PATH"
            return CommandFailed(ExitCode.LOCKED, f"{cause}; {advice}")
        case DatabaseBusy():
            where = f"the database {settings.matrix_db_path} is locked by another program"
            return CommandFailed(ExitCode.DATABASE, f"{where}; end that program, and start again")
        case DatabaseFull():
            where = f"there is no space left for the database {settings.matrix_db_path}"
            advice = "free space on its disk, 8 MB or more, and start again: nothing is lost"
            return CommandFailed(ExitCode.DATABASE, f"{where}; {advice}")
        case DatabaseForeign():
            where = f"the database {settings.matrix_db_path} can't be used: {cause}"
            advice = (
                "it was not changed; set MATRIX_DB_PATH to the bot's database, or, if this is the bot's"
                " and it is damaged, move the file away: it is rebuilt from the homeserver"
            )
            return CommandFailed(ExitCode.DATABASE, f"{where}; {advice}")
        case DatabaseUnusable():
            advice = (
                "free space on its disk, correct its permissions, or move the file away: it is rebuilt"
                " from the homeserver"
            )
            where = f"the database {settings.matrix_db_path} is unusable"
            return CommandFailed(ExitCode.DATABASE, f"{where}: {cause}; {advice}")
        case CredentialsRefused():
            return CommandFailed(ExitCode.CREDENTIALS, str(cause))
        case SessionMismatch() | SessionUnusable():
            return CommandFailed(ExitCode.USAGE, str(cause))
        case _:
            return None


async def _live(settings: Settings, registry: Registry) -> None:
    clock = SystemClock()

    def reload() -> None:
        nonlocal registry
        registry = _reloaded(settings, registry)

    async with (
        _open_journal(settings.matrix_db_path) as journal,
        open_platform(settings, lambda: registry) as platform,
        _open_homeserver(settings, clock) as homeserver,
    ):
        context_provider = ContextProvider(
            clock=clock,
            catalog=catalog_for(settings.surfaces_locale, settings.surfaces_brand),
            catalogs={each: catalog_for(each, settings.surfaces_brand) for each in TEMPLATES},
            access=Access(UserId(settings.matrix_user_id), settings.matrix_allowed_users),
            agents=lambda: registry,
            agent_retry_s=settings.agent_retry_s,
            agent_max_turn_s=settings.agent_max_turn_s,
            mock_agents=settings.matrix_platform_backend == "mock",
        )
        bot = Bot(
            homeserver=homeserver,
            platform=platform,
            journal=journal,
            clock=clock,
            context_provider=context_provider,
            limits=Limits(
                calls=raise_file_limit(), answer_bytes=settings.agent_max_answer_kb * 1024
            ),
            describe=lambda: describe(settings, registry),
            on_agent_change=agent_outage_logger(lambda: registry),
        )
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_listen_for_reload, reload)
                group.start_soon(_listen_for_stop, bot)
                await bot.run()
                group.cancel_scope.cancel()
        except Exception as error:
            _log_fatal(first_cause(error), settings)
            raise


def _log_fatal(cause: BaseException, settings: Settings) -> None:
    """Log the end of a daemon that had begun (contract L12); before, only the line of contract S4 is printed."""
    code, message = ending_of(_failure(cause, settings) or cause)
    structlog.get_logger().error("fatal", exit_code=int(code), reason=message)


async def _listen_for_reload(reload: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        unblock(signal.SIGHUP)
        async for _ in signals:
            reload()


def _reloaded(settings: Settings, current: Registry) -> Registry:
    """Read the agents file; if it or `.env` can't be used, return the current registry (contracts A2, E12)."""
    try:
        registry = read_registry(settings)
    except (RegistryError, CommandFailed) as error:
        structlog.get_logger().error("registry_refused", reason=str(error))
        return current
    _set_up_logs(settings, registry)
    structlog.get_logger().info("registry_reloaded", agents=list(registry.all()))
    return registry


async def _listen_for_stop(bot: Bot) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        unblock(signal.SIGTERM, signal.SIGINT)
        async for number in signals:
            structlog.get_logger().info("signal_received", signal=signal.Signals(number).name)
            bot.stop()


@asynccontextmanager
async def _open_journal(path: Path) -> AsyncIterator[Journal]:
    database = await open_database(path)
    try:
        yield Journal(database)
    finally:
        with anyio.CancelScope(shield=True):
            await database.close()


@asynccontextmanager
async def _open_homeserver(settings: Settings, clock: SystemClock) -> AsyncIterator[MatrixClient]:
    homeserver = MatrixClient(
        settings.account(),
        name=settings.surfaces_brand,
        on_change=outage_logger(settings.matrix_homeserver),
        clock=clock,
    )
    async with aclosing(homeserver):
        yield homeserver


def _set_up_logs(settings: Settings, registry: Registry) -> None:
    """Configure the logs to hide all known secrets; called again after a reload, which may bring new ones."""
    set_up_logs(
        settings.surfaces_log_format, settings.surfaces_log_level, _secrets(settings, registry)
    )


def _secrets(settings: Settings, registry: Registry) -> list[str]:
    own = (settings.matrix_password, settings.matrix_access_token)
    secrets = [secret.get_secret_value() for secret in own if secret]
    return secrets + [agent.token for agent in registry.agents if agent.token]
