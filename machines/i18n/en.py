"""The English templates. Fields are in braces; `{count:save|saves}` is a word with its plural forms."""

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    # Onboarding
    "space_name": "{brand} — {display_name}",
    "chat_name": "Chat {number}",
    "welcome": (
        "**Welcome to {brand}.** This is a chat with **{agent}**: just write, and the answer "
        "appears here.\n\n"
        "`!new` opens another chat with a memory of its own, `!help` shows everything else."
    ),
    "mock_hint": (
        "This agent is a built-in stand-in that shows what agents can do. Try `long`, `tool`, "
        "`confirm delete my notes`, `context`, `slow 5`, `break` or `fail`; anything else it echoes."
    ),
    "entry_pointer": (
        "Your Space is ready, and in it your first chat: [{chat}]({link}). Accept both "
        "invitations and write there. Commands such as `!help` and `!new` work here too."
    ),
    "entry_plain_text": (
        "I answer in your chats, not here. Write to me in [{chat}]({link}), or open another chat "
        "with `!new`."
    ),
    "already_here": (
        "Your Space is there already. Go on in [{chat}]({link}), or open another chat with `!new`. "
        "If a room is missing from your list, look among your invitations."
    ),
    "entry_pointer_in_shared_room": (
        "I answer in chats of your own, not here where others read along. Look for your Space among "
        "your rooms and invitations, or open another chat with `!new`."
    ),
    "not_in_shared_room": (
        "The answer to {command} is for you alone, and others read along here. Write it in one of your "
        "chats."
    ),
    "setup_failed": (
        "Your Space could not be set up: {reason}. Invite me again later, or ask the operator."
    ),
    # Help
    "help_header": "Write plain text to talk to the agent. These commands are understood:",
    "help_line": "- {usage} — {line}",
    "help_help": "shows this list",
    "usage_new": "!new [name]",
    "help_new": "opens another chat",
    "help_chats": "lists your chats",
    "usage_rename": "!rename <name>",
    "help_rename": "gives this chat another name",
    "help_archive": "closes this chat; it stays readable",
    "help_settings": "shows your settings",
    "help_skills": "lists the agent's skills",
    "usage_skill": "!skill on|off <name>",
    "help_skill": "switches a skill on or off",
    "usage_soul": "!soul [text]",
    "help_soul": "shows or sets how the agent should be",
    "usage_safety": "!safety [on|off <name>]",
    "help_safety": "lists the safety rules, or switches one",
    "usage_agent": "!agent [number|id]",
    "help_agent": "lists the agents, or selects one for new chats",
    "help_context": "shows what this chat's context holds",
    "usage_save": "!save [name]",
    "help_save": "saves this chat's context",
    "help_load": "goes back to a saved context",
    "help_clear": "lets the agent forget this chat (also `!reset`)",
    "help_yes": "agrees to what the agent asks",
    "help_no": "declines what the agent asks",
    "help_cancel": "leaves an open question or list",
    "help_stop": "ends the running answer",
    "wrong_usage": "Please write it like this: {usage}",
    "unknown_command": "There is no command {command}. `!help` lists those there are.",
    "only_in_chat": "{command} works in a chat, not here. `!chats` shows where yours are.",
    # Chats
    "chat_created": "Your new chat is ready: [{name}]({link}).",
    "chat_created_in_shared_room": "Your new chat is ready; look for it among your invitations.",
    "new_failed": "The chat could not be opened: {reason}. Please try `!new` again later.",
    "chats_header": "Your chats:",
    "chat_line": "- {number} · [{name}]({link}) · {agent} · {state}",
    "chat_line_here": "- {number} · [{name}]({link}) · {agent} · {state} · **you are here**",
    "chat_open": "open",
    "chat_archived": "archived",
    "chat_stale": "its agent is gone",
    "chat_failed": "out of order",
    "no_chats": "You have no chats yet. `!new` opens one.",
    "renamed": "This chat is now called **{name}**.",
    "name_too_long": "That name is too long: {limit} {limit:character|characters} at most, please.",
    "archived_now": (
        "This chat is archived: messages here get no more answers, and all of it stays readable. "
        "`!new` opens another one."
    ),
    "already_archived": "This chat is archived already.",
    "chat_is_archived": "This chat is archived, so nobody answers here. `!new` opens another one.",
    "stale_agent": (
        "The agent of this chat (**{agent}**) is not available any more, so your message was sent "
        "nowhere. `!new` opens a chat with another agent."
    ),
    "room_recovery_failed": (
        "I could not restore my local state for this room, so I can't answer here right now. I "
        "will try again when you write. If that does not help, the operator may have to restart "
        "or reset the bot."
    ),
    "too_many_waiting": (
        "Too many messages are waiting for an answer here. What is sent from now on is not answered "
        "until fewer are waiting; please send it again later."
    ),
    # Answers
    "tool_status": "*Using {tool}…*",
    "progress": "*{text}…*",
    "empty_answer": "*The agent finished without saying anything.*",
    "stopped": "*Stopped.*",
    "answer_too_long": "*The answer is longer than I can show, so it ends here.*",
    "turn_too_long": "*The time for one answer is over, so it ends here.*",
    "stopped_nothing": "*Stopped before the answer began.*",
    "stop_done": "Stopped.",
    "nothing_to_stop": "No answer is running, so there is nothing to stop.",
    "gave_up_unreachable": (
        "The agent could not answer: it can't be reached. Please send your message again later."
    ),
    "gave_up_silent": (
        "The agent could not answer: it went silent. Please send your message again later."
    ),
    "gave_up_protocol": (
        "The agent could not answer: what it sent makes no sense to me. Please send your message "
        "again; if that does not help, tell the operator."
    ),
    "gave_up_broken_off": (
        "The agent could not answer: the connection broke before it had finished. Please send "
        "your message again."
    ),
    "gave_up_busy": (
        "The agent could not answer: it is busy with this chat elsewhere. Please send your message "
        "again later."
    ),
    "gave_up_not_restored": (
        "The agent could not answer: I could not restore my local state for this room within a day. "
        "Please send your message again later."
    ),
    "gave_up_no_call": (
        "The agent could not answer: too many other answers are being written just now. Please send "
        "your message again later."
    ),
    "gave_up_too_slow": (
        "The agent could not answer: it took too long. Please send your message again, or ask for less."
    ),
    "gave_up_somehow": "The agent could not answer. Please send your message again later.",
    "agent_error": (
        "The agent could not answer: it reported the error {code}. Please try again, or put it "
        "differently."
    ),
    "answer_refused_by_server": (
        "There is an answer, but the homeserver does not accept it as a message. Please ask again, "
        "or for something shorter."
    ),
    "message_failed": "This message could not be answered: something in it can't be processed.",
    "confirmation_title": "**The agent asks: {title}**",
    "confirmation_hint": "Answer with `!yes` or `!no`.",
    "question_again": (
        "Nothing is agreed to or declined yet: an answer is `!yes` or `!no` alone, written after the "
        "question is shown. The open question is:"
    ),
    "no_open_question": "Nothing is waiting for your answer.",
    "confirmation_expired": "That question does not stand any more. Please ask the agent again.",
    "question_dropped": "The question is dropped; the agent gets no answer to it.",
    "cancel_nothing": "There is nothing to cancel.",
    # Settings
    "on": "on",
    "off": "off",
    "switch_line": "- {name}: {state}",
    "settings_page": (
        "Your settings:\n\n"
        "- Agent for new chats: **{agent}**\n"
        "- Skills switched on: {skills}\n"
        "- Soul: {soul}\n"
        "- Safety rules switched on: {safety}\n\n"
        "Change them with `!agent`, `!skill`, `!soul` and `!safety`."
    ),
    "skills_header": "Skills; `!skill on|off <name>` switches one:",
    "no_skills": "There are no skills to switch.",
    "skill_switched": "Skill {name} is {state} from your next message on.",
    "skill_unknown": "There is no skill {name}. These there are: {known}.",
    "no_soul": "No soul is set. `!soul <text>` tells the agent how it should be.",
    "soul_shown": "The agent should be like this:\n\n{soul}",
    "soul_set": "The soul is set, from your next message on.",
    "soul_cleared": "The soul is gone; the agent is its own self from your next message on.",
    "soul_too_long": "That is too long: {limit} {limit:character|characters} at most, please.",
    "safety_header": "Safety rules; `!safety on|off <name>` switches one:",
    "no_safety": "There are no safety rules to switch.",
    "safety_switched": "Safety rule {name} is {state} from your next message on.",
    "safety_unknown": "There is no safety rule {name}. These there are: {known}.",
    "agents_header": "Agents:",
    "agent_line": "{number}. **{label}** ({agent})",
    "agent_line_selected": "{number}. **{label}** ({agent}) — selected",
    "agents_footer": "`!agent <number>` selects one for new chats.",
    "agent_selected": "New chats are with **{label}** from now on.",
    "agent_bound_here": "This chat is with **{label}** now, and so are new ones.",
    "agent_bound_elsewhere": (
        "New chats are with **{label}** from now on. This one stays with **{here}**."
    ),
    "agent_unknown": "There is no agent {wanted}. `!agent` lists those there are.",
    # Context
    "context_cleared": "Done: the agent has forgotten this chat and starts afresh.",
    "context_page": "- Context: **{name}**\n- Used: {tokens}\n- Saves: {saves}",
    "tokens": "{count:,} {count:token|tokens}",
    "save_name": "Save {number}",
    "please_save": "Please keep our conversation so far under the name “{name}”.",
    "please_load": "Please go back to our conversation that you keep under the name “{name}”.",
    "save_done": "Saved as **{name}**. `!load` brings it back.",
    "save_failed": "The context could not be saved as **{name}**. Please try again later.",
    "saves_header": "Saves of this chat:",
    "save_line": "{number}. {name}",
    "saves_footer": "Send a number to go back to that save; `0` or `!cancel` changes nothing.",
    "load_none": "Nothing has been saved in this chat yet. `!save` does that.",
    "load_picked": "Back at **{name}**.",
    "load_failed": "The agent could not go back to **{name}**. Please try again later.",
    "load_left": "All stays as it is.",
    "load_invalid": (
        "That number is not in the list of {count} {count:save|saves}. Send one that is; `0` or "
        "`!cancel` changes nothing."
    ),
    # Files
    "files_not_yet": "I can't take files yet. Please write what is in it.",
    "agent_file_failed": "The agent offered the file **{name}**, but it can't be shown.",
}
