"""What is said in or beside an answer: status, endings, failures, questions (D9, D10, K8, K9)."""

from machines.i18n.formatter import Formatter, plain, quoted


class Answers(Formatter):
    """Sentences about the agent's answer."""

    def tool_status(self, tool_name: str) -> str:
        """Show below a growing answer which tool the agent is using."""
        return self.say("tool_status", tool=quoted(tool_name))

    def progress(self, text: str) -> str:
        """Show below a growing answer what the agent says of its progress."""
        return self.say("progress", text=plain(text))

    def empty_answer(self) -> str:
        """Stand for an answer that ended without any text."""
        return self.say("empty_answer")

    def stopped(self) -> str:
        """Follow what had been said when `!stop` came."""
        return self.say("stopped")

    def stopped_nothing(self) -> str:
        """Stand for an answer that was stopped before it began."""
        return self.say("stopped_nothing")

    def stop_done(self) -> str:
        """Answer `!stop` itself."""
        return self.say("stop_done")

    def nothing_to_stop(self) -> str:
        """Answer `!stop` when no answer is running."""
        return self.say("nothing_to_stop")

    def answer_too_long(self) -> str:
        """Follow as much of an answer as is shown (contract E13)."""
        return self.say("answer_too_long")

    def turn_too_long(self) -> str:
        """Follow what an agent said in the time that one answer has (contract E13)."""
        return self.say("turn_too_long")

    def agent_gave_up(self, kind: str) -> str:
        """End a turn that no retry could save (contract D10).

        `kind` is that of `machines.talk.AgentBroke`, or the code `AGENT_BUSY`, or `no_call` where the agent
        was never asked, `too_slow` where the time for one answer is over, or `not_restored` for a room that failed.
        """
        key = f"gave_up_{kind.removeprefix('AGENT_').lower()}"
        return self.say(key if key in self.sentences else "gave_up_somehow")

    def agent_error(self, code: str) -> str:
        """End a turn that the agent refused, naming its code."""
        return self.say("agent_error", code=quoted(code))

    def answer_refused_by_server(self) -> str:
        """Stand for an answer that the homeserver will not take (contract D9)."""
        return self.say("answer_refused_by_server")

    def message_failed(self) -> str:
        """Answer a message that could not be worked on, whatever is wrong with it (contract D9)."""
        return self.say("message_failed")

    def confirmation_question(self, title: str, description: str) -> str:
        """Ask what the agent asks; the description is Markdown of the agent's."""
        question = (self.say("confirmation_title", title=plain(title)), description.strip())
        return "\n\n".join((*filter(None, question), self.say("confirmation_hint")))

    def question_again(self, title: str, description: str) -> str:
        """Answer a `!yes` or `!no` that can't be an answer to the open question (contract K8)."""
        return f"{self.say('question_again')}\n\n{self.confirmation_question(title, description)}"

    def no_open_question(self) -> str:
        """Answer `!yes` or `!no` when nothing was asked."""
        return self.say("no_open_question")

    def confirmation_expired(self) -> str:
        """Answer `!yes` or `!no` when the question does not stand any more."""
        return self.say("confirmation_expired")

    def question_dropped(self) -> str:
        """Answer `!cancel` to an open question: the agent gets no answer."""
        return self.say("question_dropped")

    def cancel_nothing(self) -> str:
        """Answer `!cancel` when nothing is open."""
        return self.say("cancel_nothing")
