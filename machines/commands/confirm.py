"""`!yes`, `!no` and `!cancel`: answer the agent's question, or close an open list (contracts K7, K8).

A `!yes` or `!no` counts only if it is the whole message, and if the event with the question precedes it in the room's
timeline as the homeserver serves it; no clocks are compared. Otherwise the open question is sent again. So is it after
a text that resembles such an answer (`parse_disguised`): the agent must not take that text for consent.
"""

import re

from msgspec.structs import replace

from machines.commands.base import AgentPrompt, Applied, Command, CommandContext
from machines.events.agent import ConfirmationAnswer
from machines.room.chat_context import Question
from machines.turn.notices import mark_question

# Quoted lines; anything but letters and digits (blanks, invisible characters, markup); an exclamation mark; the word.
_DISGUISED = re.compile(
    r"(?:[^\S\n]*>[^\n]*\n)*[^\w>!\uff01\ufe57\u01c3\u00a1\u2755\u2757\u203c]*"
    r"[!\uff01\ufe57\u01c3\u00a1\u2755\u2757\u203c][^\w>]*(yes|no)(?![\w-])",
    re.IGNORECASE,
)


class _Decision(Command):
    """Answers the agent's question; the answer of the agent is the answer to the command."""

    accepted: bool
    group = "agent"
    chats_only = True
    waits = True  # the agent gets the messages before it first

    def apply(self, ctx: CommandContext) -> Applied:
        """Answer and close the question."""
        chat_context = ctx.room.chat_context
        question = chat_context.question
        if question is None:
            return ctx.only_answer(ctx.catalog.no_open_question())
        room = replace(ctx.room, chat_context=replace(chat_context, question=None))
        if question.expired(ctx.step.now):
            return Applied(room, (ctx.answer(ctx.catalog.confirmation_expired()),))
        if self.argument or not question.shown_before(ctx.seq):
            return _show_again(ctx, question)
        # These texts are part of the agent protocol and are not translated.
        text = "yes" if self.accepted else "no"
        answer = ConfirmationAnswer(question.id, self.accepted)
        return Applied(room, prompt=AgentPrompt(text, confirmation=answer))


class Yes(_Decision):
    """Agrees to the agent's question."""

    name = "yes"
    accepted = True


class No(_Decision):
    """Declines the agent's question."""

    name = "no"
    accepted = False


class Cancel(Command):
    """Closes the open list, or else the open question; the agent gets no answer."""

    name = "cancel"
    group = "agent"
    chats_only = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Close the list or the question."""
        catalog, chat_context = ctx.catalog, ctx.room.chat_context
        closed = replace(ctx.room, chat_context=replace(chat_context, picking=False, question=None))
        if chat_context.picking:
            return Applied(closed, (ctx.answer(catalog.load_left()),))
        if chat_context.question is not None:
            return Applied(closed, (ctx.answer(catalog.question_dropped()),))
        return ctx.only_answer(catalog.cancel_nothing())


def _show_again(ctx: CommandContext, question: Question) -> Applied:
    """Send the question again and leave it open."""
    # A question stored by an older version has no `asked_in`.
    question = replace(question, asked_in=question.asked_in or ctx.event_id)
    room = replace(ctx.room, chat_context=replace(ctx.room.chat_context, question=question))
    text = ctx.catalog.question_again(question.title, question.description)
    return Applied(room, tuple(mark_question((ctx.answer(text),), question.asked_in)))


def parse_disguised(body: str) -> Yes | No | None:
    """Return the answer that a text resembles, or `None`; it is not consent, whatever the text says.

    Used only while a question is open. An example is a `!yes` with a full-width exclamation mark or after a quote.
    """
    match = _DISGUISED.match(body)
    if match is None:
        return None
    return Yes(body) if match[1].lower() == "yes" else No(body)
