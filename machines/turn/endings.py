"""Combines an agent's answer with sentences of the bot: the status and quiet lines, and the end of the reply."""

from pathlib import PurePosixPath

from machines.events.agent import AgentRequest
from machines.events.internal import Activity, AgentDone, AttemptFailed
from machines.i18n import Catalog

FILE_NAME_CHARS = 200


def status_line(activity: Activity | None, catalog: Catalog) -> str:
    """Return the line about the agent's activity; the final text never contains it."""
    if activity is None:
        return ""
    tool = activity.kind == "tool"
    line = catalog.tool_status(activity.name) if tool else catalog.progress(activity.name)
    return line if line.strip() else ""


def quiet_line(quiet: str, catalog: Catalog) -> str:
    """Return the line that a reply shows before its first text; `quiet` is the value of `ActiveTurn.quiet`."""
    reason, _, status = quiet.partition("\n")
    return "\n".join(filter(None, (catalog.no_text_yet(reason) if reason else "", status)))


def whole_answer(request: AgentRequest, done: AgentDone, catalog: Catalog) -> str:
    """Return the final text of a reply (contracts K7, K8).

    It always contains the agent's text: the agent may comment on a save, or explain its question.
    """
    paragraphs = [done.text] if done.text.strip() else []
    if request.context is not None:
        name = request.context.name
        saved = request.context.action == "save"
        paragraphs.insert(0, catalog.save_done(name) if saved else catalog.load_picked(name))
    names = (PurePosixPath(path).name[:FILE_NAME_CHARS] for path in done.files)
    paragraphs += [catalog.agent_file_failed(name) for name in names]
    if (question := done.confirmation) is not None:
        paragraphs.append(catalog.confirmation_question(question.title, question.description))
    return "\n\n".join(paragraphs) if paragraphs else catalog.empty_answer()


def without_answer(request: AgentRequest, catalog: Catalog, sentence: str) -> str:
    """Return the end of a reply without a complete answer; for a save or a load that is its failure."""
    return _context_failed(request, catalog) or sentence


def after_failure(request: AgentRequest, failed: AttemptFailed, catalog: Catalog) -> str:
    """Return the end of a reply after a failed attempt that is not repeated (contract D10)."""
    if failed.retryable:
        return without_answer(request, catalog, catalog.agent_gave_up(failed.kind))
    return _context_failed(request, catalog, failed.kind) or catalog.agent_error(failed.kind)


def _context_failed(request: AgentRequest, catalog: Catalog, code: str = "") -> str:
    if request.context is None:
        return ""
    if request.context.action == "save":
        return catalog.save_failed(request.context.name, code)
    return catalog.load_failed(request.context.name, code)
