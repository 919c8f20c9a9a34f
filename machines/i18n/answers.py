"""Sentences about the agent's answer: status, endings, failures, questions (contracts D9, D10, K8, K9)."""

from machines.i18n.formatter import Formatter, escape, inline_code

FILE_NAME_CHARS = 200
"""The longest name of a file that is shown; a longer one is cut."""


class Answers(Formatter):
    """Sentences in an answer, below it, or instead of it."""

    def tool_status(self, tool_name: str) -> str:
        """Return the status line of a partial answer for the tool that the agent is using."""
        return self.format("tool_status", tool=inline_code(tool_name))

    def progress(self, text: str) -> str:
        """Return the status line of a partial answer for the progress that the agent reports."""
        return self.format("progress", text=escape(text.rstrip(" .…")))

    def no_text_yet(self, reason: str) -> str:
        """Say why a reply has no text yet; `reason` is a `QuietReason` of `machines.turn.state` (contract D6)."""
        return self.format(f"no_text_{reason}")

    def empty_answer(self) -> str:
        """Replace an answer that ended without any text."""
        return self.format("empty_answer")

    def stopped(self) -> str:
        """Follow the text of an answer that `!stop` ended, or replace an answer without text."""
        return self.format("stopped")

    def stop_done(self, others_wait: bool) -> str:
        """Answer `!stop` itself with what comes next; the reply says that it was stopped."""
        return self.format("stop_next" if others_wait else "stop_done")

    def nothing_to_stop(self) -> str:
        """Answer `!stop` when no answer is running."""
        return self.format("nothing_to_stop")

    def answer_too_long(self) -> str:
        """Follow the part of a too long answer that is shown (contract E13)."""
        return self.format("answer_too_long")

    def turn_too_long(self) -> str:
        """Follow the text of an answer that ran out of time (contract E13)."""
        return self.format("turn_too_long")

    def agent_gave_up(self, kind: str) -> str:
        """End a turn whose retries have all failed (contract D10).

        `kind` is that of `AgentFailure`, the code `AGENT_BUSY`, `no_call` when the agent was never asked, `too_slow`
        when the time for one answer is over, or `not_restored` when the room's repair failed.
        """
        key = f"gave_up_{kind.removeprefix('AGENT_').lower()}"
        return self.format(key if key in self.templates else "gave_up_somehow")

    def agent_error(self, code: str) -> str:
        """End a turn that the agent refused; names the code of its error."""
        return self.format("agent_error", code=inline_code(code))

    def answer_refused_by_server(self) -> str:
        """Replace an answer that the homeserver refuses (contract D9)."""
        return self.format("answer_refused_by_server")

    def message_failed(self) -> str:
        """Answer a message that could not be processed (contract D9)."""
        return self.format("message_failed")

    def confirmation_question(self, title: str, description: str) -> str:
        """Show the agent's question; the description is Markdown of the agent."""
        question = (
            self.format("confirmation_title", title=escape(title) or "…"),
            description.strip(),
        )
        return "\n\n".join((*filter(None, question), self.format("confirmation_hint")))

    def question_again(self, title: str, description: str) -> str:
        """Answer a `!yes` or `!no` that does not count for the open question (contract K8)."""
        return (
            f"{self.format('question_again')}\n\n{self.confirmation_question(title, description)}"
        )

    def no_open_question(self) -> str:
        """Answer `!yes` or `!no` when no question is open."""
        return self.format("no_open_question")

    def confirmation_expired(self) -> str:
        """Answer `!yes` or `!no` when the question has expired."""
        return self.format("confirmation_expired")

    def question_dropped(self) -> str:
        """Answer `!cancel` to an open question: the agent gets no answer."""
        return self.format("question_dropped")

    def cancel_nothing(self) -> str:
        """Answer `!cancel` when nothing is open."""
        return self.format("cancel_nothing")

    def files_not_yet(self) -> str:
        """Answer a file: the bot does not accept files yet."""
        return self.format("files_not_yet")

    def voice_not_yet(self) -> str:
        """Answer a voice message: the bot cannot listen to it yet."""
        return self.format("voice_not_yet")

    def file_not_opened(self, name: str) -> str:
        """Follow the answer to a caption: the file itself is not opened yet."""
        return self.format("file_not_opened", name=escape(name[:FILE_NAME_CHARS]))

    def unsupported_message(self, kind: str) -> str:
        """Answer a message that cannot be sent to an agent; `kind` is that of `UnsupportedArrived` (contract D5)."""
        key = f"unsupported_{kind}"
        return self.format(key if key in self.templates else "unsupported_other")

    def command_as_new_message(self) -> str:
        """Answer an edited message or a caption that looks like a command (contract D17)."""
        return self.format("command_as_new_message")

    def agent_file_failed(self, name: str) -> str:
        """Follow an answer whose file can't be shown."""
        return self.format("agent_file_failed", name=escape(name))
