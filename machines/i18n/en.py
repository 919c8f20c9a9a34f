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
    "welcome_again": (
        "**Welcome to a new chat** with **{agent}**: just write. It has a memory of its own."
    ),
    "invited_to_encrypted_room": (
        "The room that you invited me to is encrypted, and I can't read or write there. Let's talk here."
    ),
    "mock_hint": (
        "This agent is a built-in stand-in that shows what agents can do. Try `long`, `tool`, "
        "`confirm delete my notes`, `context`, `slow 5`, `break` or `fail`; it repeats anything else."
    ),
    "entry_pointer": (
        "Your Space is ready, and in it your first chat, [{chat}]({link}): accept both invitations "
        "to start. Commands such as `!help` and `!new` work here too."
    ),
    "entry_plain_text": "This room is for commands. Let's talk in [{chat}]({link}), or `!new` for another.",
    "already_here": (
        "Your Space is there already. Go on in [{chat}]({link}), or `!new` for another chat."
    ),
    "invited_again": (
        "I have invited you again to the rooms that you are not in: accept the invitations."
    ),
    "invitation_waits": "There are invitations waiting for you: accept them.",
    "entry_pointer_in_shared_room": (
        "Others can read this room, so let's talk in your own chat: look for your Space among your "
        "rooms and invitations, or send `!new` for another chat."
    ),
    "not_in_shared_room": (
        "Others can read this room, so please send {command} in one of your chats."
    ),
    "setup_failed": (
        "Your Space could not be set up. Please send `!new` here later to try again; if that does "
        "not help, ask the operator."
    ),
    "invite_refused": (
        "I may talk only to people on my operator's list. To be added to it, please ask the operator."
    ),
    "no_longer_allowed": (
        "I'm sorry, I can't answer you here any more: you are no longer on my operator's list. "
        "Everything stays readable. If this is a mistake, please ask the operator."
    ),
    "space_topic": "Your chats with {brand}. Each one has a memory of its own.",
    "chat_topic": "A chat with {agent}.",
    "space_invitation": "This is your Space: it holds all your chats with {brand}.",
    "chat_invitation": "Your new chat with {agent} is ready.",
    "invitation_back": "Your chat with {agent} is waiting for you.",
    "entry_way_back": (
        "This room is for commands. `!open {number}` brings **{chat}** back, `!new` opens another chat."
    ),
    # Help
    "help_header_chat": "Write plain text to talk to the agent, or send a command.",
    "help_header": "These commands work here.",
    "help_group_chat": "**This chat**",
    "help_group_chats": "**Your chats**",
    "help_group_settings": "**Settings and help**",
    "help_group_agent": "**When the agent asks**",
    "help_line": "- {usage} — {line}",
    "help_help": "shows this list",
    "usage_new": "!new [name]",
    "help_new": "opens another chat",
    "help_chats": "lists your chats",
    "usage_open": "!open <number>",
    "help_open": "brings back a chat that is archived or that you left",
    "usage_rename": "!rename <name>",
    "help_rename": "gives this chat another name",
    "help_archive": "closes this chat; it stays readable, and `!open` brings it back",
    "help_settings": "shows your settings",
    "help_skills": "lists the skills that the agent may use",
    "usage_skill": "!skill on|off <name>",
    "help_skill": "switches a skill on or off",
    "usage_soul": "!soul [text]",
    "help_soul": "shows or sets how the agent should behave; `!soul off` removes it",
    "usage_safety": "!safety [on|off <name>]",
    "help_safety": "lists what the agent asks you about first, or switches such a rule",
    "usage_agent": "!agent [number|id]",
    "help_agent": "lists the agents, or selects one for new chats",
    "usage_language": "!language [en|ru]",
    "help_language": "shows or sets the language that I write in",
    "help_context": "shows how much this chat holds, and its saves",
    "usage_save": "!save [name]",
    "help_save": "saves the conversation as it is now",
    "usage_load": "!load [number|name]",
    "help_load": "goes back to a save",
    "help_clear": "makes the agent forget this chat (also `!reset`)",
    "help_yes": "agrees to what the agent asks",
    "help_no": "declines what the agent asks",
    "help_cancel": "closes an open question or list without an answer",
    "help_stop": "ends the running answer",
    "wrong_usage": "For example: {example}",
    "example_new": "!new Holiday plans",
    "example_open": "!open 1",
    "example_rename": "!rename Holiday plans",
    "example_skill": "!skill off files",
    "example_soul": "!soul Be brief and kind.",
    "example_safety": "!safety off file-delete",
    "example_agent": "!agent 1",
    "example_language": "!language ru",
    "example_save": "!save before the trip",
    "example_load": "!load 1",
    "no_argument": "Nothing was changed. If you mean this whole chat, send just {command}.",
    "unknown_command": "There is no command {command}. `!help` lists those that work here.",
    "only_in_chat": ("{command} works inside a chat. `!chats` lists yours, `!new` opens another."),
    # Chats
    "chat_created": "**[{name}]({link})** is ready: accept its invitation to start.",
    "chat_created_in_shared_room": "Your new chat is ready: look for it among your invitations.",
    "new_failed": "The chat could not be opened. Please send `!new` later to try again.",
    "chats_header": "Your chats:",
    "chat_line": "- {number} · [{name}]({link}) · {agent} · {state}",
    "chat_line_here": "- {number} · [{name}]({link}) · {agent} · {state} · **you are here**",
    "chat_open": "open",
    "chat_archived": "archived",
    "chat_stale": "its agent is gone",
    "chat_failed": "out of order",
    "no_chats": "You have no chats yet. `!new` opens one.",
    "renamed": "This chat is now called **{name}**.",
    "name_too_long": "That name is too long: up to {limit} {limit:character|characters} fit.",
    "archived_now": (
        "This chat is archived: it stays readable, and messages here get no more answers. `!open "
        "{number}` brings it back."
    ),
    "chat_is_archived": (
        "This chat is archived and takes no messages or changes. `!open {number}` brings it "
        "back, `!new` opens another one."
    ),
    "stale_agent": (
        "The agent of this chat, **{agent}**, is no longer available, so your message was not "
        "sent. `!new` opens a chat with another agent."
    ),
    "room_recovery_failed": (
        "I could not restore my local state for this room, so I can't answer here yet. I will "
        "try again when you write. If that does not help, the operator may have to restart or "
        "reset the bot."
    ),
    "too_many_waiting": (
        "Too many messages are waiting here. I can't take new ones until some are answered; "
        "please send yours again later."
    ),
    "chat_membership_invite": "invitation not accepted yet",
    "chat_membership_leave": "you left",
    "chat_membership_declined": "you declined the invitation",
    "chats_hint_invited": "To start a chat, accept its invitation.",
    "chats_hint_open": "To bring a chat back, send for example `!open {number}`.",
    "chats_hint_space": "You are not in your Space: `!open` with the number of a chat invites you there again.",
    "open_again": "[{name}]({link}) is open again.",
    "open_already": "[{name}]({link}) is open.",
    "open_failed": (
        "[{name}]({link}) is out of order right now. When you write there, I will try to restore it."
    ),
    "open_invited_again": "There is a new invitation for you: accept it to come back.",
    "open_accept": "Its invitation is waiting for you: accept it to come in.",
    "open_stale": (
        "The chat's agent, **{agent}**, is no longer available, so nobody answers there; `!new` "
        "opens a chat with another agent."
    ),
    "open_unknown": "You have no chat with the number {number}. `!chats` shows yours.",
    "invited_to_space": "I have invited you to your Space again, too.",
    # Answers
    "tool_status": "*Using {tool}…*",
    "progress": "*{text}…*",
    "no_text_working": "*Still working on it…*",
    "no_text_unreachable": "*The agent can't be reached at the moment. Trying again…*",
    "no_text_busy": "*The agent is busy at the moment. Trying again…*",
    "no_text_failed": "*The agent's answer did not get through. Trying again…*",
    "no_text_no_call": "*Many messages are being answered at the moment. Yours is in the queue…*",
    "empty_answer": "*The agent finished without saying anything. You can ask again.*",
    "stopped": "*Stopped.*",
    "answer_too_long": (
        "*The answer is longer than I can show, so it ends here. You can ask for the rest.*"
    ),
    "turn_too_long": (
        "*The time for one answer is over, so this one ends here. You can ask the agent to go on.*"
    ),
    "stop_done": "Ready for your next message.",
    "stop_next": "Going on with what you sent since.",
    "nothing_to_stop": "No answer is running.",
    "gave_up_unreachable": (
        "The agent could not answer: it can't be reached. Please send your message again later."
    ),
    "gave_up_silent": (
        "The agent could not answer: it went silent. Please send your message again later."
    ),
    "gave_up_protocol": (
        "The agent could not answer: its reply was damaged. Please send your message again; if "
        "that does not help, tell the operator."
    ),
    "gave_up_broken_off": (
        "The agent could not answer: the connection broke before it had finished. Please send "
        "your message again."
    ),
    "gave_up_busy": (
        "The agent could not answer: it is busy at the moment. Please send your message again in a while."
    ),
    "gave_up_not_restored": (
        "The agent could not answer: I could not restore my local state for this room within a day. "
        "Please send your message again later."
    ),
    "gave_up_no_call": (
        "The agent could not answer: too many other answers are being written right now. Please "
        "send your message again in a while."
    ),
    "gave_up_too_slow": (
        "The agent could not answer: it took too long. Please send your message again, or ask "
        "for less."
    ),
    "gave_up_somehow": "The agent could not answer. Please send your message again later.",
    "agent_error": "Something went wrong on the agent's side. Try again. ({code})",
    "answer_refused_by_server": (
        "There is an answer, but the homeserver does not accept it. Please ask again, or for "
        "something shorter."
    ),
    "message_failed": "I could not read this message. Please send it again as plain text.",
    "confirmation_title": "**The agent asks: {title}**",
    "confirmation_hint": "Answer with just `!yes` or `!no`.",
    "question_again": (
        "Nothing is decided yet: `!yes` or `!no` counts only without other words, and only after the "
        "question. Here it is again:"
    ),
    "no_open_question": "The agent is not asking you anything right now.",
    "confirmation_expired": (
        "That question is no longer open. If it still matters, ask the agent again."
    ),
    "question_dropped": "The question is closed; the agent gets no answer to it.",
    "cancel_nothing": "There is nothing to cancel.",
    # Settings
    "on": "on",
    "off": "off",
    "none": "none",
    "switch_line": "- {name}: {state}",
    "settings_page": (
        "Your settings:\n\n"
        "- Agent for new chats: **{agent}**\n"
        "- Language: {language}\n"
        "- Skills that are on: {skills}\n"
        "- Soul: {soul}\n"
        "- Safety rules that are on: {safety}\n\n"
        "Change them with `!agent`, `!language`, `!skill`, `!soul` and `!safety`."
    ),
    "language_name": "English",
    "language_choice": "- `!language {code}` — I write to you in English",
    "language_shown": "I write to you in **English**. You can choose:",
    "language_set": "From now on I write to you in English, in every room.",
    "language_unknown": "I don't speak {wanted}. You can choose:",
    "skills_header": "The agent's skills; for example, `!skill off files` switches one off:",
    "no_skills": "There are no skills to switch.",
    "skill_switched": "{name} is {state}, starting with your next message.",
    "skill_unknown": "There is no skill {name}. You can choose: {known}.",
    "no_soul": (
        "No soul is set. Say how the agent should behave, for example: `!soul Be brief and kind.`"
    ),
    "soul_shown": "How the agent should behave (`!soul off` removes it):\n\n{soul}",
    "soul_set": "The soul is set, starting with your next message. `!soul off` removes it.",
    "soul_cleared": "The soul is removed, starting with your next message.",
    "soul_too_long": "That is too long: up to {limit} {limit:character|characters} fit.",
    "safety_header": (
        "What the agent asks you about first; for example, `!safety off file-delete` lets it delete "
        "files without asking:"
    ),
    "no_safety": "There are no safety rules to switch.",
    "safety_switched": "{name} is {state}, starting with your next message.",
    "safety_unknown": "There is no safety rule {name}. You can choose: {known}.",
    "agents_header": "Agents:",
    "agent_line": "{number}. **{label}** ({agent})",
    "agent_line_selected": "{number}. **{label}** ({agent}) — selected",
    "agents_footer": "`!agent <number>` selects one for new chats.",
    "agent_selected": "From now on, your new chats are with **{label}**.",
    "agent_bound_here": "From now on, this chat and your new ones are with **{label}**.",
    "agent_bound_elsewhere": (
        "From now on, your new chats are with **{label}**. This chat stays with **{here}**."
    ),
    "agent_unknown": "There is no agent {wanted}. `!agent` lists them.",
    # Context
    "context_cleared": (
        "The agent has forgotten this chat and starts afresh. This can't be undone."
    ),
    "context_cleared_saves": "Your saves stay listed; `!load` asks the agent to go back to one.",
    "context_page": "{state}; {used}.",
    "context_unsaved": "Nothing saved yet",
    "context_named": "Last saved or loaded: **{name}**",
    "context_fresh": "Nothing saved since the last `!clear`",
    "context_saves": "You can go back:",
    "context_save": "- `!load {number}` — {name}",
    "no_tokens": "no tokens in use so far",
    "tokens": "about {count:,} {count:token|tokens} in use",
    "save_name": "Save {number}",
    "please_save": "Please keep our conversation so far under the name “{name}”.",
    "please_load": "Please go back to our conversation that you keep under the name “{name}”.",
    "save_done": "Saved as **{name}**. `!load` brings it back.",
    "save_failed": "The conversation could not be saved as **{name}**. Please try again later.",
    "saves_header": "Saves of this chat:",
    "save_line": "{number}. {name}",
    "saves_footer": "Send a number to go back to that save, or `0` to leave everything as it is.",
    "load_none": (
        "Nothing is saved in this chat yet. `!save` saves the conversation as it is now."
    ),
    "load_unknown": "There is no save {wanted}. You can choose:",
    "load_picked": "The conversation is back at **{name}**.",
    "load_failed": "The agent could not go back to **{name}**. Please try again later.",
    "load_refused": (
        "The agent could not go back to **{name}**; it may no longer have it. `!save` saves the "
        "conversation as it is now."
    ),
    "load_left": "Everything stays as it is.",
    "load_invalid": (
        "The list has {count} {count:save|saves}. Send a number from the list, or `0` to leave "
        "everything as it is."
    ),
    # Files
    "files_not_yet": "I can't open files yet. Please write the important part as text.",
    "agent_file_failed": "The agent offered the file **{name}**, but I can't show it.",
    "voice_not_yet": "I can't listen to voice messages yet. Please write what you said.",
    "file_not_opened": (
        "*I can't open files yet, so the agent got your text without the file {name}.*"
    ),
    # Messages that are not sent to the agent
    "unsupported_location": (
        "I can't pass a location on to the agent. Please write in words where it is."
    ),
    "unsupported_sticker": (
        "I can't pass stickers on to the agent. Please write what you want to say."
    ),
    "unsupported_poll": (
        "I can't pass polls on to the agent. Please write your question as a message."
    ),
    "unsupported_other": (
        "I can't pass this kind of message on to the agent. Please write it as plain text."
    ),
    "command_as_new_message": (
        "A command works only as a message of its own, not as an edit or a caption. Please send it "
        "as a new message."
    ),
}
